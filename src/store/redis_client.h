// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <chrono>
#include <initializer_list>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "precis/store.h"

struct redisContext;
struct redisReply;

namespace precis {

using RedisReply = std::shared_ptr<const redisReply>;

// Connections to Redis. Every failure is logged and counted; none is thrown. Safe to call from
// several threads: each call has a connection of its own.
class RedisClient {
 public:
  explicit RedisClient(RedisOptions options);
  ~RedisClient();

  // Null if Redis cannot be reached, answers with an error or with what is no Redis protocol, and
  // for RedisOptions::retry_after after a connection failed.
  RedisReply command(std::initializer_list<std::string_view> words);
  // Counts and logs an answer that makes no sense.
  void report(std::string_view what);

  const std::string& origin() const { return origin_; }  // for messages
  int64_t errors() const { return errors_; }

 private:
  struct Disconnect {
    void operator()(redisContext* context) const;
  };
  using Connection = std::unique_ptr<redisContext, Disconnect>;
  using Clock = std::chrono::steady_clock;

  bool is_left_alone() const;
  void leave_alone(std::string_view reason);
  Connection idle();
  Connection connect();
  bool log_in(redisContext& context);
  void keep(Connection connection);
  RedisReply ask(redisContext& context, std::initializer_list<std::string_view> words) const;
  RedisReply ask_idle(std::initializer_list<std::string_view> words);
  RedisReply ask_new(std::initializer_list<std::string_view> words);
  RedisReply checked(RedisReply reply);

  RedisOptions options_;
  std::string origin_;
  std::atomic<int64_t> errors_ = 0;
  mutable std::mutex mutex_;  // of what follows
  std::vector<Connection> idle_;
  Clock::time_point left_alone_until_ = {};
};

}  // namespace precis
