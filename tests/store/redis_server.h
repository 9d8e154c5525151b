// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "store/redis_client.h"

namespace precis {

inline RedisOptions redis_options(const std::filesystem::path& socket) {
  RedisOptions options;
  options.unix_socket = socket;
  options.retry_after = std::chrono::milliseconds(0);
  return options;
}

// A redis-server of the test's own, at a socket. It writes nothing to the disk.
class RedisServer {
 public:
  explicit RedisServer(std::filesystem::path socket, std::vector<std::string> arguments = {})
      : socket_(std::move(socket)), arguments_(std::move(arguments)) {
    start();
  }
  RedisServer(const RedisServer&) = delete;
  RedisServer& operator=(const RedisServer&) = delete;
  ~RedisServer() { kill(); }

  static bool is_installed() { return std::string(PRECIS_TEST_REDIS_SERVER) != ""; }

  void start() {
    process_ = ::fork();
    if (process_ == 0) run();
  }
  void kill() {
    if (process_ <= 0) return;
    ::kill(process_, SIGKILL);
    ::waitpid(process_, nullptr, 0);
    process_ = -1;
    std::filesystem::remove(socket_);
  }
  // Waits until it answers, 10 seconds at most.
  bool answers(const std::string& password = {}) const {
    RedisOptions options = redis_options(socket_);
    options.password = password;
    RedisClient client(options);
    for (int i = 0; i < 500; ++i) {
      if (client.command({"PING"})) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    return false;
  }

 private:
  [[noreturn]] void run() {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // it ends with the test
    const int nothing = ::open("/dev/null", O_RDWR);
    for (const int stream : {0, 1, 2}) ::dup2(nothing, stream);
    std::vector<std::string> words{PRECIS_TEST_REDIS_SERVER,
                                   "--port",
                                   "0",
                                   "--unixsocket",
                                   socket_.string(),
                                   "--save",
                                   "",
                                   "--appendonly",
                                   "no"};
    words.insert(words.end(), arguments_.begin(), arguments_.end());
    std::vector<char*> pointers;
    for (std::string& word : words) pointers.push_back(word.data());
    pointers.push_back(nullptr);
    ::execv(pointers[0], pointers.data());
    ::_exit(127);
  }

  std::filesystem::path socket_;
  std::vector<std::string> arguments_;
  pid_t process_ = -1;
};

// Answers whatever it is asked with one text, or never. Closes each connection after an answer.
class FalseServer {
 public:
  explicit FalseServer(const std::filesystem::path& socket, std::string answer, bool silent = false)
      : answer_(std::move(answer)), silent_(silent) {
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, socket.c_str(), sizeof(address.sun_path) - 1);
    listening_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ::bind(listening_, reinterpret_cast<const sockaddr*>(&address), sizeof(address));
    ::listen(listening_, 16);
    thread_ = std::thread([this] { serve(); });
  }
  FalseServer(const FalseServer&) = delete;
  FalseServer& operator=(const FalseServer&) = delete;
  ~FalseServer() {
    ended_ = true;
    ::shutdown(listening_, SHUT_RDWR);  // ends accept()
    thread_.join();
    ::close(listening_);
    for (const int connection : held_) ::close(connection);
  }

 private:
  void serve() {
    while (!ended_) {
      const int connection = ::accept(listening_, nullptr, nullptr);
      if (connection < 0) continue;
      if (silent_) {
        held_.push_back(connection);
        continue;
      }
      char bytes[4096];
      if (::recv(connection, bytes, sizeof(bytes), 0) > 0)
        ::send(connection, answer_.data(), answer_.size(), MSG_NOSIGNAL);
      ::close(connection);
    }
  }

  std::string answer_;
  bool silent_;
  int listening_ = -1;
  std::atomic<bool> ended_ = false;
  std::vector<int> held_;  // of the thread, until it has ended
  std::thread thread_;
};

}  // namespace precis
