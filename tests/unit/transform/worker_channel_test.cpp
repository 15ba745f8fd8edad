#include "transform/worker_channel.h"

#include <cstring>
#include <string>
#include <vector>

#include <catch2/catch.hpp>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

using namespace tidepool;
using namespace tidepool::transform;

TEST_CASE("worker channel: a message comes with its descriptor, or without", "[transform]") {
    auto channel = open_channel();
    REQUIRE(channel);
    const auto file = make_sealed_file(std::string("variant"));
    REQUIRE(file);
    Job job;
    job.number = 7;
    job.recipe_count = 2;
    job.recipes[1].width = 200;
    REQUIRE(send_message(channel->ours.get(), job, file->get()));
    REQUIRE(send_message(channel->ours.get(), job));

    Job got;
    const auto with = receive_message(channel->theirs.get(), got);
    REQUIRE(with);
    CHECK(got.number == 7);
    CHECK(got.recipe_count == 2);
    CHECK(got.recipes[1].width == 200);
    char text[8] = {};
    CHECK(pread(with->get(), text, 7, 0) == 7);
    CHECK(std::string(text) == "variant");
    const auto without = receive_message(channel->theirs.get(), got);
    REQUIRE(without);
    CHECK_FALSE(*without);
}

TEST_CASE("worker channel: what cannot be received has its kind", "[transform]") {
    auto channel = open_channel();
    REQUIRE(channel);
    Answer answer;
    CHECK(receive_message(channel->ours.get(), answer).error().kind == ErrorKind::busy);
    REQUIRE(send_packet(channel->theirs.get(), std::string("short"), -1));
    CHECK(receive_message(channel->ours.get(), answer).error().kind == ErrorKind::invalid);
    REQUIRE(send_packet(channel->theirs.get(), std::string(sizeof answer + 1, 'x'), -1));
    CHECK(receive_message(channel->ours.get(), answer).error().kind == ErrorKind::invalid);
    channel->theirs = conf::Descriptor();
    CHECK(receive_message(channel->ours.get(), answer).error().kind == ErrorKind::closed);
    CHECK(send_message(channel->ours.get(), Job()).error().kind == ErrorKind::closed);
}

TEST_CASE("worker channel: what comes with more than one descriptor leaves none open",
          "[transform]") {
    auto channel = open_channel();
    REQUIRE(channel);
    const Answer answer;
    for (const std::size_t count : {2U, 3U}) {
        const std::vector<int> sent(count, channel->theirs.get());
        alignas(cmsghdr) char control[CMSG_SPACE(3 * sizeof(int))] = {};
        iovec part{const_cast<Answer*>(&answer), sizeof answer};
        msghdr message{};
        message.msg_iov = &part;
        message.msg_iovlen = 1;
        message.msg_control = control;
        message.msg_controllen = CMSG_SPACE(count * sizeof(int));
        cmsghdr* const head = CMSG_FIRSTHDR(&message);
        head->cmsg_level = SOL_SOCKET;
        head->cmsg_type = SCM_RIGHTS;
        head->cmsg_len = CMSG_LEN(count * sizeof(int));
        std::memcpy(CMSG_DATA(head), sent.data(), count * sizeof(int));
        REQUIRE(sendmsg(channel->theirs.get(), &message, 0) > 0);
        const int next_before = dup(0);
        close(next_before);
        Answer got;
        CHECK(receive_message(channel->ours.get(), got).error().kind == ErrorKind::invalid);
        const int next = dup(0);
        close(next);
        CHECK(next == next_before);
    }
}

TEST_CASE("worker channel: where this process may open no more, that is no fault of the message",
          "[transform]") {
    auto channel = open_channel();
    REQUIRE(channel);
    REQUIRE(send_message(channel->theirs.get(), Answer(), channel->theirs.get()));
    rlimit before{};
    REQUIRE(getrlimit(RLIMIT_NOFILE, &before) == 0);
    const rlimit none{0, before.rlim_max};
    REQUIRE(setrlimit(RLIMIT_NOFILE, &none) == 0);
    Answer got;
    const auto received = receive_message(channel->ours.get(), got);
    setrlimit(RLIMIT_NOFILE, &before);
    REQUIRE_FALSE(received);
    CHECK(received.error().kind == ErrorKind::io);
}

TEST_CASE("worker channel: only a sealed file of the right size is one", "[transform]") {
    const auto file = make_sealed_file(std::string("variant"));
    REQUIRE(file);
    CHECK(is_sealed_file(file->get(), 7));
    CHECK_FALSE(is_sealed_file(file->get(), 8));
    CHECK(write(file->get(), "x", 1) < 0);
    const conf::Descriptor open_file(memfd_create("x", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    CHECK_FALSE(is_sealed_file(open_file.get(), 0));
    CHECK_FALSE(is_sealed_file(-1, 0));
}

TEST_CASE("worker channel: the text of an answer is cut and cleaned", "[transform]") {
    Answer answer;
    answer.set_text("line\nwith \x1b[31m colour");
    CHECK(answer.printable_text() == "line?with ?[31m colour");
    answer.set_text(std::string(1000, 'x'));
    CHECK(answer.printable_text() == std::string(Answer::kTextBytes - 1, 'x'));
    answer.text.fill('y');
    CHECK(answer.printable_text().size() == Answer::kTextBytes);
}
