// SPDX-License-Identifier: Apache-2.0
#include "store/redis_client.h"

#include <hiredis/hiredis.h>
#include <sys/time.h>

#include <utility>

#include "base/check.h"
#include "base/log.h"
#include "io/in_quotes.h"
#include "store/blocked_sigpipe.h"

namespace precis {
namespace {

constexpr size_t kMostIdle = 8;

timeval timeval_of(std::chrono::milliseconds time) {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(time);
  return {static_cast<time_t>(seconds.count()),
          static_cast<suseconds_t>((time - seconds).count() * 1000)};
}

std::string origin_of(const RedisOptions& options) {
  if (!options.unix_socket.empty()) return concat("Redis at ", options.unix_socket.string());
  return concat("Redis at ", options.host, ":", options.port);
}

std::string_view text_of(const redisReply& reply) { return {reply.str, reply.len}; }

}  // namespace

void RedisClient::Disconnect::operator()(redisContext* context) const { redisFree(context); }

RedisClient::RedisClient(RedisOptions options)
    : options_(std::move(options)), origin_(origin_of(options_)) {}

RedisClient::~RedisClient() = default;

bool RedisClient::is_left_alone() const {
  const std::lock_guard lock(mutex_);
  return Clock::now() < left_alone_until_;
}

void RedisClient::leave_alone(std::string_view reason) {
  {
    const std::lock_guard lock(mutex_);
    left_alone_until_ = Clock::now() + options_.retry_after;
  }
  report(concat(reason, "; it is left alone for ", options_.retry_after.count(), " ms"));
}

void RedisClient::report(std::string_view what) {
  ++errors_;
  log(LogLevel::kWarning, concat("store: ", origin_, ": ", what));
}

RedisClient::Connection RedisClient::idle() {
  const std::lock_guard lock(mutex_);
  if (idle_.empty()) return nullptr;
  Connection connection = std::move(idle_.back());
  idle_.pop_back();
  return connection;
}

void RedisClient::keep(Connection connection) {
  const std::lock_guard lock(mutex_);
  if (idle_.size() < kMostIdle) idle_.push_back(std::move(connection));
}

RedisReply RedisClient::ask(redisContext& context,
                            std::initializer_list<std::string_view> words) const {
  std::vector<const char*> texts;
  std::vector<size_t> sizes;
  for (const std::string_view word : words) {
    texts.push_back(word.data());
    sizes.push_back(word.size());
  }
  void* reply =
      redisCommandArgv(&context, static_cast<int>(texts.size()), texts.data(), sizes.data());
  if (reply == nullptr) return nullptr;
  return {static_cast<const redisReply*>(reply),
          [](const redisReply* done) { freeReplyObject(const_cast<redisReply*>(done)); }};
}

bool RedisClient::log_in(redisContext& context) {
  if (options_.password.empty()) return true;
  const RedisReply reply = ask(context, {"AUTH", options_.password});
  return reply && reply->type != REDIS_REPLY_ERROR;
}

RedisClient::Connection RedisClient::connect() {
  const timeval timeout = timeval_of(options_.timeout);
  const bool local = !options_.unix_socket.empty();
  Connection connection(
      local ? redisConnectUnixWithTimeout(options_.unix_socket.c_str(), timeout)
            : redisConnectWithTimeout(options_.host.c_str(), options_.port, timeout));
  if (!connection || connection->err != 0 ||
      redisSetTimeout(connection.get(), timeout) != REDIS_OK) {
    leave_alone(concat("cannot be reached: ",
                       connection ? in_quotes(connection->errstr) : std::string("out of memory")));
    return nullptr;
  }
  if (log_in(*connection)) return connection;
  leave_alone("refuses the password");
  return nullptr;
}

RedisReply RedisClient::checked(RedisReply reply) {
  if (reply->type != REDIS_REPLY_ERROR) return reply;
  report(concat("answers ", in_quotes(text_of(*reply))));
  return nullptr;
}

RedisReply RedisClient::ask_idle(std::initializer_list<std::string_view> words) {
  Connection connection = idle();
  if (!connection) return nullptr;
  RedisReply reply = ask(*connection, words);
  if (reply) {
    keep(std::move(connection));
    return reply;
  }
  // Others that were idle are as old.
  const std::lock_guard lock(mutex_);
  idle_.clear();
  return nullptr;
}

RedisReply RedisClient::ask_new(std::initializer_list<std::string_view> words) {
  Connection connection = connect();
  if (!connection) return nullptr;
  RedisReply reply = ask(*connection, words);
  if (reply)
    keep(std::move(connection));
  else
    leave_alone(concat("does not answer: ", in_quotes(connection->errstr)));
  return reply;
}

RedisReply RedisClient::command(std::initializer_list<std::string_view> words) {
  if (is_left_alone()) return nullptr;
  const BlockedSigpipe blocked;
  const Clock::time_point start = Clock::now();
  RedisReply reply = ask_idle(words);
  if (!reply && Clock::now() - start >= options_.timeout) {
    leave_alone("does not answer in time");
    return nullptr;
  }
  // Redis closes connections that are idle, and all when it is started anew.
  if (!reply) reply = ask_new(words);
  return reply ? checked(std::move(reply)) : nullptr;
}

}  // namespace precis
