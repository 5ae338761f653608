// SPDX-License-Identifier: Apache-2.0
#include "supervisor/hypervisor/sha256.h"

#include <gtest/gtest.h>

#include <string>

namespace berth {
namespace {

std::string Digest(const std::string& text, size_t piece,
                   bool instructions = Sha256::HasShaInstructions()) {
  Sha256 hash(instructions);
  for (size_t at = 0; at < text.size(); at += piece) {
    hash.Update(std::as_bytes(std::span(text).subspan(at, std::min(piece, text.size() - at))));
  }
  return hash.HexDigest();
}

// FIPS 180-4, as NIST's examples for it have them.
void ExpectPublishedVectors(bool instructions) {
  const auto digest = [&](const std::string& text, size_t piece) {
    return Digest(text, piece, instructions);
  };
  EXPECT_EQ(digest("", 1), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(digest("abc", 3), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(digest("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 56),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  EXPECT_EQ(digest(std::string(1'000'000, 'a'), 65'536),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(Sha256, AgreesWithThePublishedVectors) { ExpectPublishedVectors(false); }

TEST(Sha256, TheInstructionsAgreeWithThemAndWithPlainCode) {
  if (!Sha256::HasShaInstructions()) GTEST_SKIP() << "this CPU has none";
  ExpectPublishedVectors(true);
  std::string text;
  uint32_t x = 1;
  for (size_t length = 0; length < 1000; ++length) {
    EXPECT_EQ(Digest(text, 1 + length / 3, true), Digest(text, 1 + length / 3, false)) << length;
    text += static_cast<char>((x = x * 1664525 + 1013904223) >> 24);
  }
}

TEST(Sha256, DoesNotDependOnThePieces) {
  for (size_t length : {55U, 56U, 63U, 64U, 65U, 119U, 120U, 200U}) {
    const std::string text(length, 'x');
    for (size_t piece : {1U, 7U, 63U, 64U, 65U}) {
      EXPECT_EQ(Digest(text, piece), Digest(text, length)) << length << " in pieces of " << piece;
    }
  }
}

TEST(Sha256, FileThatIsNotThereIsAnError) {
  EXPECT_EQ(Sha256OfFile("/nonexistent").error().errnum, ENOENT);
}

}  // namespace
}  // namespace berth
