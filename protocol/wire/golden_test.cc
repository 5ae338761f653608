// SPDX-License-Identifier: Apache-2.0
//
// Frames of every released generation, byte for byte: a guest that was frozen years ago sends and
// expects exactly these. A file here is never changed once its generation is released.
//
// golden/generation-N.txt: blank-separated hex bytes of one frame a line, behind its name and a
// colon; '#' begins a comment. The same frames are built here, of the messages of
// golden_messages.cc.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <sstream>
#include <string>

#include "protocol/base/io.h"
#include "protocol/wire/channel.h"
#include "protocol/wire/frame.h"
#include "protocol/wire/golden_messages.h"

namespace berth::wire {
namespace {

struct Generation {
  std::string path;
  const GoldenMessages& messages;
};

const std::vector<Generation>& Generations() {
  static const std::vector<Generation> generations = {
      {BERTH_SOURCE_DIR "/protocol/wire/golden/generation-1.txt", GenerationOne()},
      {BERTH_SOURCE_DIR "/protocol/wire/golden/generation-2.txt", GenerationTwo()},
      {BERTH_SOURCE_DIR "/protocol/wire/golden/generation-3.txt", GenerationThree()}};
  return generations;
}

std::string Framed(FrameKind kind, Stream stream, std::string_view payload) {
  const HeaderBytes header = EncodeHeader({kind, stream, static_cast<uint32_t>(payload.size())});
  return std::string(reinterpret_cast<const char*>(header.data()), header.size()) +
         std::string(payload);
}

std::map<std::string, std::string> BuiltFrames(const GoldenMessages& messages) {
  std::map<std::string, std::string> frames;
  // What is no message is what it was in generation 1.
  if (&messages == &GenerationOne()) {
    frames = {
        {"data-stdout", Framed(FrameKind::kData, Stream::kStdout, "out\n")},
        {"data-stderr", Framed(FrameKind::kData, Stream::kStderr, "err\n")},
        {"data-stdin", Framed(FrameKind::kData, Stream::kStdin, "in\n")},
        {"end-stdin", Framed(FrameKind::kEnd, Stream::kStdin, "")},
        {"end-stdout", Framed(FrameKind::kEnd, Stream::kStdout, "")},
        {"end-stderr", Framed(FrameKind::kEnd, Stream::kStderr, "")},
    };
  }
  for (const auto& [name, fill] : messages) {
    v1::Envelope message;
    fill(message);
    frames[name] = EncodeMessage(message).value();
  }
  return frames;
}

std::string Hex(std::string_view bytes) {
  std::string text;
  for (const char c : bytes) {
    constexpr char kDigits[] = "0123456789abcdef";
    if (!text.empty()) text += ' ';
    text += kDigits[static_cast<unsigned char>(c) >> 4];
    text += kDigits[static_cast<unsigned char>(c) & 15];
  }
  return text;
}

// "name: 01 02" lines.
std::map<std::string, std::string> ReadGolden(const std::string& path) {
  std::map<std::string, std::string> frames;
  std::istringstream lines(ReadFile(path.c_str(), 1 << 20).value());
  for (std::string line; std::getline(lines, line);) {
    const size_t colon = line.find(": ");
    if (line.empty() || line[0] == '#' || colon == std::string::npos) continue;
    frames[line.substr(0, colon)] = line.substr(colon + 2);
  }
  return frames;
}

TEST(GoldenTest, EveryGenerationIsWrittenAsItEverWas) {
  for (const Generation& generation : Generations()) {
    const auto golden = ReadGolden(generation.path);
    const auto built = BuiltFrames(generation.messages);
    for (const auto& [name, bytes] : built) {
      const bool known = golden.contains(name);
      EXPECT_TRUE(known) << name << ": " << Hex(bytes);
      if (known) EXPECT_EQ(Hex(bytes), golden.at(name)) << name;
    }
    EXPECT_EQ(golden.size(), built.size()) << generation.path;
  }
}

TEST(GoldenTest, EveryGenerationIsUnderstood) {
  for (const Generation& generation : Generations()) {
    const auto golden = ReadGolden(generation.path);
    for (const auto& [name, fill] : generation.messages) {
      ASSERT_TRUE(golden.contains(name));
      std::istringstream hex(golden.at(name));
      std::string bytes;
      for (unsigned value = 0; hex >> std::hex >> value;) bytes += static_cast<char>(value);
      const auto message =
          DecodeMessage(std::as_bytes(std::span(bytes)).subspan(kFrameHeaderBytes));
      ASSERT_TRUE(message) << name;
      v1::Envelope expected;
      fill(expected);
      EXPECT_EQ(message->SerializeAsString(), expected.SerializeAsString()) << name;
    }
  }
}

TEST(GoldenTest, EveryMessageHasAGoldenFrame) {
  const auto proto = ReadFile(BERTH_SOURCE_DIR "/protocol/proto/berth.proto", 1 << 20).value();
  const size_t begin = proto.find("oneof body {");
  std::istringstream lines(proto.substr(begin, proto.find('}', begin) - begin));
  std::string line;
  std::getline(lines, line);
  int bodies = 0;
  while (std::getline(lines, line)) {
    std::istringstream words(line);
    std::string type;
    std::string name;
    if (!(words >> type >> name) || type == "//") continue;
    ++bodies;
    std::ranges::replace(name, '_', '-');
    EXPECT_TRUE(std::ranges::any_of(Generations(), [&](const Generation& generation) {
      return std::ranges::any_of(generation.messages, [&](const auto& each) {
        return each.first == name || each.first.starts_with(name + "-");
      });
    })) << name;
  }
  EXPECT_GT(bodies, 0);
}

// The conversation that docs/protocol.md prints, byte for byte.
TEST(GoldenTest, TheWorkedExampleOfTheDocumentIsTrue) {
  const auto doc = ReadFile(BERTH_SOURCE_DIR "/docs/protocol.md", 1 << 20).value();
  const auto frames = BuiltFrames(GenerationOne());
  for (const char* name :
       {"hello-host", "exec-start-uname", "hello-guest", "exec-started", "data-stdout",
        "end-stdout", "end-stderr", "exec-exited-zero", "stream-credit", "end-stdin"}) {
    // Lines of the document break where they like.
    std::string flat = doc;
    for (char& c : flat) {
      if (c == '\n') c = ' ';
    }
    while (true) {
      const size_t two = flat.find("  ");
      if (two == std::string::npos) break;
      flat.erase(two, 1);
    }
    EXPECT_NE(flat.find(Hex(frames.at(name))), std::string::npos)
        << name << " in docs/protocol.md should read\n"
        << Hex(frames.at(name));
  }
}

}  // namespace
}  // namespace berth::wire
