// SPDX-License-Identifier: Apache-2.0
//
// Which vhost-user messages are taken, and how they are received piece by piece.
#include "supervisor/vsock/vhost_user_message.h"

#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <string>
#include <utility>

#include "supervisor/vsock/limits.h"
#include "supervisor/vsock/vhost_user_channel.h"

namespace berth::vsock {
namespace {

Message Make(Request request, size_t payload_bytes, size_t fds = 0) {
  Message message;
  message.header = {static_cast<uint32_t>(request), kVhostVersion,
                    static_cast<uint32_t>(payload_bytes)};
  message.payload.resize(payload_bytes);
  for (size_t i = 0; i < fds; ++i) message.fds.emplace_back(eventfd(0, EFD_CLOEXEC));
  return message;
}

TEST(VhostUserMessageTest, PayloadMustHaveTheSizeOfItsRequest) {
  EXPECT_TRUE(CheckMessage(Make(Request::kSetFeatures, 8)));
  EXPECT_FALSE(CheckMessage(Make(Request::kSetFeatures, 7)));
  EXPECT_FALSE(CheckMessage(Make(Request::kSetFeatures, 9)));
  EXPECT_FALSE(CheckMessage(Make(Request::kSetVringAddr, 39)));
  EXPECT_FALSE(CheckMessage(Make(Request::kSetMemTable, 7)));
  EXPECT_FALSE(CheckMessage(Make(Request::kGetConfig, 11)));
  EXPECT_FALSE(CheckMessage(Make(Request::kGetFeatures, 8)));
}

TEST(VhostUserMessageTest, DescriptorsComeOnlyWithRequestsThatCarryThem) {
  EXPECT_TRUE(CheckMessage(Make(Request::kSetVringKick, 8, 1)));
  EXPECT_FALSE(CheckMessage(Make(Request::kSetVringKick, 8, 2)));
  EXPECT_FALSE(CheckMessage(Make(Request::kSetFeatures, 8, 1)));
}

TEST(VhostUserMessageTest, UnknownRequestsAreNotSupported) {
  const auto checked = CheckMessage(Make(static_cast<Request>(99), 0));
  ASSERT_FALSE(checked);
  EXPECT_EQ(checked.error().errnum, ENOTSUP);
  EXPECT_EQ(checked.error().detail, "request 99");
}

TEST(VhostUserMessageTest, HeadersOfAnotherVersionAReplyOrTooLongAreRefused) {
  EXPECT_TRUE(CheckHeader({1, kVhostVersion, 0}));
  EXPECT_TRUE(CheckHeader({1, kVhostVersion | kVhostNeedReply, kMaxVhostPayloadBytes}));
  EXPECT_FALSE(CheckHeader({1, 0, 0}));
  EXPECT_FALSE(CheckHeader({1, 2, 0}));
  EXPECT_FALSE(CheckHeader({1, kVhostVersion | kVhostReply, 0}));
  EXPECT_FALSE(CheckHeader({1, kVhostVersion, kMaxVhostPayloadBytes + 1}));
  EXPECT_FALSE(CheckHeader({1, kVhostVersion, ~0U}));
}

class VhostUserChannelTest : public ::testing::Test {
 protected:
  VhostUserChannelTest() : channel_(UniqueFd()) {
    int fds[2];
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    channel_ = VhostUserChannel(UniqueFd(fds[0]));
    peer_.Reset(fds[1]);
  }
  void Send(std::span<const std::byte> bytes, size_t fds = 0) {
    const UniqueFd event(eventfd(0, EFD_CLOEXEC));
    iovec part{const_cast<std::byte*>(bytes.data()), bytes.size()};
    alignas(cmsghdr) char control[CMSG_SPACE(16 * sizeof(int))] = {};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    if (fds > 0) {
      message.msg_control = control;
      message.msg_controllen = CMSG_SPACE(fds * sizeof(int));
      cmsghdr* c = CMSG_FIRSTHDR(&message);
      c->cmsg_level = SOL_SOCKET;
      c->cmsg_type = SCM_RIGHTS;
      c->cmsg_len = CMSG_LEN(fds * sizeof(int));
      for (size_t i = 0; i < fds; ++i) {
        const int fd = event.get();
        std::memcpy(CMSG_DATA(c) + i * sizeof(int), &fd, sizeof(fd));
      }
    }
    ASSERT_EQ(sendmsg(peer_.get(), &message, 0), static_cast<ssize_t>(bytes.size()));
  }
  static std::vector<std::byte> Encode(const MessageHeader& header, size_t payload) {
    std::vector<std::byte> bytes(sizeof(header) + payload, std::byte{7});
    std::memcpy(bytes.data(), &header, sizeof(header));
    return bytes;
  }

  UniqueFd peer_;
  VhostUserChannel channel_;
};

TEST_F(VhostUserChannelTest, AMessageInPiecesIsGivenOnceItIsWhole) {
  const auto bytes = Encode({2, kVhostVersion, 8}, 8);
  for (size_t i = 0; i < bytes.size(); ++i) {
    auto none = channel_.Receive();
    ASSERT_TRUE(none);
    ASSERT_FALSE(*none) << "after " << i << " bytes";
    Send(std::span(bytes).subspan(i, 1));
  }
  auto message = channel_.Receive();
  ASSERT_TRUE(message && *message);
  EXPECT_EQ((*message)->request(), Request::kSetFeatures);
  EXPECT_EQ((*message)->As<uint64_t>(), 0x0707070707070707U);
}

TEST_F(VhostUserChannelTest, MessagesInOneReadAreToldApartWithTheirDescriptors) {
  Send(Encode({12, kVhostVersion, 8}, 8), 1);
  Send(Encode({3, kVhostVersion, 0}, 0));
  auto first = channel_.Receive();
  ASSERT_TRUE(first && *first);
  EXPECT_EQ((*first)->fds.size(), 1U);
  auto second = channel_.Receive();
  ASSERT_TRUE(second && *second);
  EXPECT_EQ((*second)->request(), Request::kSetOwner);
  EXPECT_TRUE((*second)->fds.empty());
}

TEST_F(VhostUserChannelTest, MoreDescriptorsThanAnyRequestCarriesAreRefused) {
  Send(Encode({5, kVhostVersion, 8}, 8), kMaxMemoryRegions + 1);
  EXPECT_FALSE(channel_.Receive());
}

TEST_F(VhostUserChannelTest, DescriptorsThatTrickleInAreRefusedToo) {
  const auto bytes = Encode({5, kVhostVersion, 8}, 8);
  Result<std::optional<Message>> received = std::optional<Message>();
  for (size_t i = 0; i < 10 && received; ++i) {
    Send(std::span(bytes).subspan(i, 1), 1);
    received = channel_.Receive();
  }
  EXPECT_FALSE(received);
}

TEST_F(VhostUserChannelTest, EndOfFileBetweenMessagesIsCloseAndWithinOneAnError) {
  Send(Encode({3, kVhostVersion, 0}, 0));
  peer_.Reset();
  ASSERT_TRUE(*channel_.Receive());
  EXPECT_FALSE(channel_.closed());
  ASSERT_FALSE(*channel_.Receive());
  EXPECT_TRUE(channel_.closed());
}

TEST_F(VhostUserChannelTest, EndOfFileWithinAMessageIsAnError) {
  Send(std::span<const std::byte>(Encode({2, kVhostVersion, 8}, 8)).first(13));
  peer_.Reset();
  EXPECT_FALSE(channel_.Receive());
}

TEST_F(VhostUserChannelTest, ReplyNamesTheRequestAndSaysThatItIsAReply) {
  const std::array<std::byte, 8> payload{};
  ASSERT_TRUE(channel_.Reply({11, kVhostVersion | kVhostNeedReply, 8}, payload));
  MessageHeader header;
  ASSERT_EQ(read(peer_.get(), &header, sizeof(header)), 12);
  EXPECT_EQ(header.request, 11U);
  EXPECT_EQ(header.flags, kVhostVersion | kVhostReply);
  EXPECT_EQ(header.payload_bytes, 8U);
}

}  // namespace
}  // namespace berth::vsock
