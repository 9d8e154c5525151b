// SPDX-License-Identifier: Apache-2.0
#include "store/stored_entry.h"

#include <optional>

#include "store/store_fixture.h"

namespace precis {
namespace {

const StoreTime kCreated(milliseconds(5000));

class StoredEntryTest : public testing::Test {
 protected:
  static std::span<const std::byte> span_of(const std::string& bytes) {
    return std::as_bytes(std::span(bytes));
  }
  static std::string bytes_of(const Memory& memory, const EntryOptions& options = {}) {
    return entry_bytes(make_header(kId, memory, options, kCreated), memory);
  }
  static EntryHeader read(const std::string& bytes) {
    return read_header(span_of(bytes), kId, "the file");
  }
  // What a reader is given: nullopt for damage.
  static std::optional<Memory> served(const std::string& bytes) {
    try {
      read(bytes);
      return Memory::deserialize(bytes);
    } catch (const Error&) {
      return std::nullopt;
    }
  }
  static EntryOptions expiring(Expiry::Anchor anchor, milliseconds after) {
    EntryOptions options;
    options.expiry = Expiry{anchor, after};
    return options;
  }

  static inline const std::string kId = numbered_id("alice", 1);
};

TEST_F(StoredEntryTest, KeepsWhatIsKnownOfTheMemory) {
  EntryOptions options = expiring(Expiry::Anchor::kCreatedAt, milliseconds(1500));
  options.name = "harrow \xC3\xA9 \"quoted\"";
  const EntryHeader header = read(bytes_of(numbered_memory(1), options));
  EXPECT_EQ(header.id, kId);
  EXPECT_EQ(header.name, options.name);
  EXPECT_EQ(header.created_at, kCreated);
  EXPECT_EQ(header.expiry->anchor, Expiry::Anchor::kCreatedAt);
  EXPECT_EQ(header.expiry->after, milliseconds(1500));
  EXPECT_EQ(header.source_tokens, 57);
  EXPECT_EQ(header.memory_tokens, 4);
  EXPECT_EQ(header.method, "selfcp");
  EXPECT_EQ(header.model_fingerprint, "the model");
  EXPECT_FALSE(read(bytes_of(numbered_memory(1))).expiry);
}

TEST_F(StoredEntryTest, IsAFileOfItsMemory) {
  for (const Memory& memory : {numbered_memory(1), cached_memory()})
    EXPECT_EQ(Memory::deserialize(bytes_of(memory)).content_hash(), memory.content_hash());
}

TEST_F(StoredEntryTest, ExpiresAfterItsAnchor) {
  const StoreTime used(milliseconds(9000));
  const auto end_of = [&](Expiry::Anchor anchor) {
    return make_header(kId, numbered_memory(1), expiring(anchor, milliseconds(1500)), kCreated);
  };
  const EntryHeader created = end_of(Expiry::Anchor::kCreatedAt),
                    last = end_of(Expiry::Anchor::kLastUsedAt);
  EXPECT_EQ(created.expires_at(used), StoreTime(milliseconds(6500)));
  EXPECT_EQ(last.expires_at(used), StoreTime(milliseconds(10500)));
  EXPECT_FALSE(last.is_expired(used, StoreTime(milliseconds(10499))));
  EXPECT_TRUE(last.is_expired(used, StoreTime(milliseconds(10500))));
  const EntryHeader never = make_header(kId, numbered_memory(1), {}, kCreated);
  EXPECT_FALSE(never.expires_at(used));
  EXPECT_FALSE(never.is_expired(used, StoreTime::max()));
}

TEST_F(StoredEntryTest, RefusesOptionsOutOfRange) {
  EntryOptions named;
  named.name = std::string(513, 'a');
  expect_error(ErrorKind::kInvalidArgument, "name of 513 bytes", [&] {
    bytes_of(numbered_memory(1), named);
  });
  named.name = "\xFF";
  expect_error(ErrorKind::kInvalidArgument, "UTF-8", [&] { bytes_of(numbered_memory(1), named); });
  for (const milliseconds after : {milliseconds(0), milliseconds(-1), milliseconds::max()})
    expect_error(ErrorKind::kInvalidArgument, "cannot expire after", [&] {
      bytes_of(numbered_memory(1), expiring(Expiry::Anchor::kCreatedAt, after));
    });
}

TEST_F(StoredEntryTest, RefusesAnotherEntry) {
  const std::string bytes = bytes_of(numbered_memory(1));
  expect_error(ErrorKind::kBadWeights, "the file: holds the entry", [&] {
    read_header(span_of(bytes), numbered_id("bob", 1), "the file");
  });
}

TEST_F(StoredEntryTest, RefusesAMemoryThatIsNoEntry) {
  expect_error(ErrorKind::kBadWeights, "the file: metadata store_hash is missing", [&] {
    read(numbered_memory(1).serialize());
  });
}

// Every byte: header and tensors.
TEST_F(StoredEntryTest, AFlippedByteIsNeverServed) {
  EntryOptions options = expiring(Expiry::Anchor::kLastUsedAt, milliseconds(1500));
  options.name = "harrow";
  for (const Memory& memory : {numbered_memory(1), cached_memory()}) {
    const std::string bytes = bytes_of(memory, options);
    ASSERT_TRUE(served(bytes));
    for (size_t i = 0; i < bytes.size(); ++i) {
      for (const char flip : {'\x01', '\x20', '\x80', '\xFF'}) {
        std::string damaged = bytes;
        damaged[i] ^= flip;
        EXPECT_FALSE(served(damaged)) << "byte " << i << " of " << bytes.size();
      }
    }
  }
}

TEST_F(StoredEntryTest, ATruncatedOrLongerEntryIsNeverServed) {
  const std::string bytes = bytes_of(numbered_memory(1));
  for (size_t size = 0; size < bytes.size(); ++size) EXPECT_FALSE(served(bytes.substr(0, size)));
  EXPECT_FALSE(served(bytes + '\0'));
}

}  // namespace
}  // namespace precis
