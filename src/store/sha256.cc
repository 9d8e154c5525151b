// SPDX-License-Identifier: Apache-2.0
#include "store/sha256.h"

#include <openssl/evp.h>

#include <array>

#include "base/check.h"

namespace precis {
namespace {

std::string hex_of(std::span<const unsigned char> bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  for (const unsigned char byte : bytes) {
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

}  // namespace

struct Sha256::State {
  State() : context(EVP_MD_CTX_new()) {}
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() { EVP_MD_CTX_free(context); }

  EVP_MD_CTX* context;
};

Sha256::Sha256() : state_(std::make_unique<State>()) {
  PRECIS_CHECK(
      state_->context != nullptr && EVP_DigestInit_ex(state_->context, EVP_sha256(), nullptr) == 1,
      kOutOfMemory,
      "SHA-256 cannot be set up");
}

Sha256::~Sha256() = default;

void Sha256::update(const void* data, size_t size) {
  PRECIS_CHECK(EVP_DigestUpdate(state_->context, data, size) == 1, kInternal, "SHA-256 failed");
}

void Sha256::add(std::span<const std::byte> field) {
  const uint64_t size = field.size();
  update(&size, sizeof(size));
  update(field.data(), field.size());
}

void Sha256::add(std::string_view field) { add(std::as_bytes(std::span(field))); }

void Sha256::add(int64_t number) { add(std::as_bytes(std::span(&number, 1))); }

std::string Sha256::hex() {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int size = 0;
  PRECIS_CHECK(
      EVP_DigestFinal_ex(state_->context, digest.data(), &size) == 1, kInternal, "SHA-256 failed");
  return hex_of(std::span(digest).first(size));
}

}  // namespace precis
