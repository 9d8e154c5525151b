// SPDX-License-Identifier: Apache-2.0
#include "store/redis_backend.h"

#include <hiredis/hiredis.h>

#include <algorithm>
#include <random>
#include <set>
#include <thread>
#include <utility>

#include "base/check.h"

namespace precis {
namespace {

using std::chrono::milliseconds;

// Deletes the lock only if it is still our own.
constexpr std::string_view kUnlock =
    "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) end return 0";
constexpr milliseconds kPause(20), kShortestLock(1000);
constexpr int kMostScans = 1'000'000;

void check_options(const RedisOptions& options) {
  const bool local = !options.unix_socket.empty();
  PRECIS_CHECK(local || (!options.host.empty() && options.port > 0 && options.port < 65536),
               kInvalidArgument,
               "store: Redis needs a host and a port from 1 to 65535, or a socket");
  PRECIS_CHECK(options.timeout > milliseconds(0) && options.retry_after >= milliseconds(0),
               kInvalidArgument,
               "store: the time-out of Redis must be more than 0, retry_after not less");
  const auto is_plain = [](char c) {
    return ('a' <= c && c <= 'z') || ('A' <= c && c <= 'Z') || ('0' <= c && c <= '9') || c == '_' ||
           c == '-' || c == ':';
  };
  PRECIS_CHECK(!options.prefix.empty() && std::ranges::all_of(options.prefix, is_plain),
               kInvalidArgument,
               "store: the prefix of Redis keys may have letters, digits, _, - and : only");
}

RedisOptions checked(RedisOptions options) {
  check_options(options);
  return options;
}

std::string random_token() {
  std::random_device random;
  return concat(std::hex, random(), "-", random(), "-", random(), "-", random());
}

std::string_view text_of(const redisReply& reply) { return {reply.str, reply.len}; }

bool is_text(const redisReply* reply) {
  return reply != nullptr && reply->type == REDIS_REPLY_STRING && reply->str != nullptr;
}

// An answer to SCAN: the next cursor and a list of keys.
bool is_scan(const redisReply& reply) {
  return reply.type == REDIS_REPLY_ARRAY && reply.elements == 2 && is_text(reply.element[0]) &&
         reply.element[1] != nullptr && reply.element[1]->type == REDIS_REPLY_ARRAY;
}

// Adds the ids of keys that begin with `start`.
void add_ids(const redisReply& keys, const std::string& start, std::set<std::string>& ids) {
  for (size_t i = 0; i < keys.elements; ++i) {
    if (!is_text(keys.element[i]) || !text_of(*keys.element[i]).starts_with(start)) continue;
    const std::string_view id = text_of(*keys.element[i]).substr(start.size());
    if (is_memory_id(id)) ids.emplace(id);
  }
}

class RedisLock final : public BackendLock {
 public:
  RedisLock(RedisClient& client, std::string name, std::string token)
      : client_(client), name_(std::move(name)), token_(std::move(token)) {}
  RedisLock(const RedisLock&) = delete;
  RedisLock& operator=(const RedisLock&) = delete;
  // Where that fails, the lock expires.
  ~RedisLock() override {
    try {
      client_.command({"EVAL", kUnlock, "1", name_, token_});
    } catch (const std::exception&) {
    }
  }

 private:
  RedisClient& client_;
  std::string name_, token_;
};

}  // namespace

RedisBackend::RedisBackend(RedisOptions options, std::function<StoreTime()> clock)
    : prefix_(options.prefix), clock_(std::move(clock)), client_(checked(std::move(options))) {}

std::string RedisBackend::name_of(const EntryKey& key) const {
  return concat(prefix_, ":", key.tenant, ":", key.id);
}

std::optional<long long> RedisBackend::number(std::initializer_list<std::string_view> words) {
  const RedisReply reply = client_.command(words);
  if (!reply) return std::nullopt;
  if (reply->type == REDIS_REPLY_INTEGER) return reply->integer;
  client_.report(concat("answers ", *words.begin(), " with something else than a number"));
  return std::nullopt;
}

std::optional<StoredValue> RedisBackend::get(const EntryKey& key) {
  const RedisReply reply = client_.command({"GET", name_of(key)});
  if (!reply || reply->type == REDIS_REPLY_NIL) return std::nullopt;
  if (!is_text(reply.get())) {
    client_.report("answers GET with something else than a text");
    return std::nullopt;
  }
  return StoredValue{
      reply, std::as_bytes(std::span(text_of(*reply))), clock_(), false, client_.origin()};
}

void RedisBackend::put(const EntryKey& key, std::string_view value, const EntryHeader& header) {
  const StoreTime now = clock_();
  const std::optional<StoreTime> end = header.expires_at(now);
  if (end && *end <= now) return;
  const std::string name = name_of(key);
  const RedisReply reply =
      end ? client_.command({"SET", name, value, "PX", std::to_string((*end - now).count())})
          : client_.command({"SET", name, value});
  PRECIS_CHECK(reply && reply->type == REDIS_REPLY_STATUS,
               kInvalidArgument,
               client_.origin(),
               ": a memory of ",
               value.size(),
               " bytes cannot be stored");
}

Presence RedisBackend::erase(const EntryKey& key) {
  const std::optional<long long> erased = number({"DEL", name_of(key)});
  if (!erased) return Presence::kUnknown;
  return *erased > 0 ? Presence::kPresent : Presence::kMissing;
}

// What was set in between is lost with it, and is made again.
bool RedisBackend::erase_if(const EntryKey& key,
                            const std::function<bool(const StoredValue&)>& condition) {
  const std::optional<StoredValue> value = get(key);
  return value && condition(*value) && erase(key) == Presence::kPresent;
}

Presence RedisBackend::use(const EntryKey& key, const EntryHeader& header) {
  const std::string name = name_of(key);
  const StoreTime now = clock_();
  const bool renewed = header.expiry && header.expiry->anchor == Expiry::Anchor::kLastUsedAt;
  const std::optional<long long> found =
      renewed ? number({"PEXPIRE", name, std::to_string(header.expiry->after.count())})
              : number({"EXISTS", name});
  if (!found) return Presence::kUnknown;
  return *found > 0 && !header.is_expired(now, now) ? Presence::kPresent : Presence::kMissing;
}

std::unique_ptr<BackendLock> RedisBackend::lock(const EntryKey& key, milliseconds wait) {
  const std::string name = name_of(key) + ":lock", token = random_token();
  // A killed maker's lock is gone when those who wait for it give up.
  const std::string life = std::to_string(std::max(wait, kShortestLock).count());
  const auto end = std::chrono::steady_clock::now() + wait;
  for (;;) {
    const RedisReply reply = client_.command({"SET", name, token, "NX", "PX", life});
    if (!reply) return nullptr;
    if (reply->type == REDIS_REPLY_STATUS) return std::make_unique<RedisLock>(client_, name, token);
    if (reply->type != REDIS_REPLY_NIL) {
      client_.report("answers SET NX with something else than OK and nil");
      return nullptr;
    }
    if (std::chrono::steady_clock::now() >= end) return nullptr;
    std::this_thread::sleep_for(kPause);
  }
}

std::vector<std::string> RedisBackend::ids(const std::string& tenant) {
  const std::string start = concat(prefix_, ":", tenant, ":");
  std::set<std::string> ids;  // SCAN may return a key twice
  std::string cursor = "0";
  for (int i = 0; i < kMostScans; ++i) {
    const RedisReply reply =
        client_.command({"SCAN", cursor, "MATCH", start + "mem_*", "COUNT", "1000"});
    if (!reply) break;
    if (!is_scan(*reply)) {
      client_.report("answers SCAN with something else than a cursor and a list");
      break;
    }
    add_ids(*reply->element[1], start, ids);
    const std::string_view next = text_of(*reply->element[0]);
    if (next == "0" || next == cursor) break;  // at the end, or no Redis
    cursor = next;
  }
  return {ids.begin(), ids.end()};
}

bool RedisBackend::pin(const EntryKey&, bool) {
  fail(ErrorKind::kUnsupported,
       "store: entries in Redis cannot be pinned; give the store a directory");
}

}  // namespace precis
