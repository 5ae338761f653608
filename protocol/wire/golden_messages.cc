// SPDX-License-Identifier: Apache-2.0
#include "protocol/wire/golden_messages.h"

namespace berth::wire {
namespace {

std::string Bytes(int first, int count) {
  std::string bytes;
  for (int i = 0; i < count; ++i) bytes += static_cast<char>(first + i);
  return bytes;
}

}  // namespace

// Every field of every message of generation 1 has a value.
const GoldenMessages& GenerationOne() {
  static const GoldenMessages messages = {
      {"hello-host",
       [](v1::Envelope& m) {
         m.mutable_hello()->set_generation(1);
         m.mutable_hello()->set_oldest_generation(1);
         m.mutable_hello()->set_build_id("0.1.0");
       }},
      {"hello-guest",
       [](v1::Envelope& m) {
         m.mutable_hello()->set_generation(1);
         m.mutable_hello()->set_oldest_generation(1);
         m.mutable_hello()->set_build_id("0.1.0");
         m.mutable_hello()->set_boot_id(Bytes(0x10, 16));
         m.mutable_hello()->set_instance_id(Bytes(0x20, 16));
         m.mutable_hello()->add_features("example");
       }},
      {"failure",
       [](v1::Envelope& m) {
         m.mutable_failure()->set_step("exec");
         m.mutable_failure()->set_errnum(2);
         m.mutable_failure()->set_detail("nope");
         m.mutable_failure()->set_hint("no such program");
       }},
      {"ready",
       [](v1::Envelope& m) {
         auto& phase = *m.mutable_ready()->add_phases();
         phase.set_name("mounts");
         phase.set_monotonic_us(460'000);
         m.mutable_ready()->set_sent_monotonic_us(500'000);
         m.mutable_ready()->set_agent_starts(1);
         m.mutable_ready()->set_kernel_release("6.1.0");
       }},
      {"ready-ack", [](v1::Envelope& m) { m.mutable_ready_ack(); }},
      {"exec-start-uname",
       [](v1::Envelope& m) {
         m.mutable_exec_start()->add_argv("uname");
         m.mutable_exec_start()->add_argv("-a");
       }},
      {"exec-start-full",
       [](v1::Envelope& m) {
         auto& start = *m.mutable_exec_start();
         start.add_argv("sh");
         start.add_env("A=b");
         start.set_cwd("/tmp");
         start.set_user("daemon");
         start.set_group("tty");
         start.add_groups("100");
         start.set_tty(true);
         start.set_rows(24);
         start.set_columns(80);
         start.set_stdin_open(true);
         start.set_timeout_ms(1500);
         start.set_kill_grace_ms(250);
         auto& limit = *start.add_rlimits();
         limit.set_resource(7);
         limit.set_soft(64);
         limit.set_hard(~uint64_t{0});
       }},
      {"exec-started", [](v1::Envelope& m) { m.mutable_exec_started()->set_pid(321); }},
      {"exec-resize",
       [](v1::Envelope& m) {
         m.mutable_exec_resize()->set_rows(50);
         m.mutable_exec_resize()->set_columns(132);
       }},
      {"exec-signal", [](v1::Envelope& m) { m.mutable_exec_signal()->set_signal(15); }},
      {"stream-credit",
       [](v1::Envelope& m) {
         m.mutable_stream_credit()->set_stream(0);
         m.mutable_stream_credit()->set_bytes(131072);
       }},
      {"exec-exited-code",
       [](v1::Envelope& m) {
         auto& exited = *m.mutable_exec_exited();
         exited.set_code(7);
         exited.set_user_us(1000);
         exited.set_system_us(2000);
         exited.set_max_rss_kib(3000);
         exited.set_wall_us(4000);
       }},
      {"exec-exited-signal",
       [](v1::Envelope& m) {
         auto& exited = *m.mutable_exec_exited();
         exited.set_signal(9);
         exited.set_core_dumped(true);
         exited.set_timed_out(true);
         exited.set_output_held(true);
       }},
      {"exec-exited-zero", [](v1::Envelope& m) { m.mutable_exec_exited()->set_code(0); }},
      {"ping", [](v1::Envelope& m) { m.mutable_ping()->set_payload("hi"); }},
      {"pong",
       [](v1::Envelope& m) {
         m.mutable_pong()->set_payload("hi");
         m.mutable_pong()->set_monotonic_us(1'000'000);
       }},
      {"shutdown",
       [](v1::Envelope& m) {
         m.mutable_shutdown()->set_mode(v1::Shutdown::REBOOT);
         m.mutable_shutdown()->set_grace_ms(10'000);
       }},
      {"shutdown-ack", [](v1::Envelope& m) { m.mutable_shutdown_ack(); }},
  };
  return messages;
}

// Those that generation 2 added, and those whose new fields it filled.
const GoldenMessages& GenerationTwo() {
  static const GoldenMessages messages = {
      {"ready-ack-configure",
       [](v1::Envelope& m) { m.mutable_ready_ack()->set_configure_follows(true); }},
      {"service-call",
       [](v1::Envelope& m) {
         m.mutable_service_call()->set_verb(v1::ServiceCall::RESTART);
         m.mutable_service_call()->set_name("web");
         m.mutable_service_call()->set_timeout_ms(5000);
       }},
      {"service-reply",
       [](v1::Envelope& m) {
         auto& reply = *m.mutable_service_reply();
         reply.set_monotonic_us(9'000'000);
         auto& web = *reply.add_services();
         web.set_name("web");
         web.set_state(v1::ServiceReply::Service::BACKOFF);
         web.set_health(v1::ServiceReply::Service::UNHEALTHY);
         web.set_pid(77);
         web.set_restarts(3);
         web.set_code(0);
         web.set_main(true);
         web.set_oneshot(true);
         web.set_wanted_us(500'000);
         web.set_start_us(600'000);
         web.set_ready_us(700'000);
         web.set_restart_us(800'000);
         web.set_first_ready_us(650'000);
         web.set_waits_for("db");
         web.set_detail("port 80");
         reply.add_services()->set_signal(9);
       }},
      {"service-reply-error",
       [](v1::Envelope& m) {
         m.mutable_service_reply()->set_errnum(2);
         m.mutable_service_reply()->set_message("no service is named 'wep'");
       }},
      {"follow", [](v1::Envelope& m) { m.mutable_follow(); }},
      {"follow-configure",
       [](v1::Envelope& m) {
         m.mutable_follow()->mutable_configure()->set_toml("hostname = \"a\"\n");
       }},
      {"following", [](v1::Envelope& m) { m.mutable_following(); }},
      {"guest-event-main",
       [](v1::Envelope& m) {
         m.mutable_guest_event()->set_seq(1);
         m.mutable_guest_event()->set_monotonic_us(2'000'000);
         auto& down = *m.mutable_guest_event()->mutable_going_down();
         down.set_mode(v1::Shutdown::REBOOT);
         down.set_cause(v1::GuestEvent::GoingDown::MAIN);
         down.set_name("web");
         down.set_code(3);
       }},
      {"guest-event-main-signal",
       [](v1::Envelope& m) { m.mutable_guest_event()->mutable_going_down()->set_signal(11); }},
      {"guest-event-refused",
       [](v1::Envelope& m) {
         m.mutable_guest_event()->set_seq(2);
         auto& refused = *m.mutable_guest_event()->mutable_configure_refused();
         refused.set_errnum(22);
         refused.set_mistakes("1:1: unknown key");
       }},
      {"guest-event-ack", [](v1::Envelope& m) { m.mutable_guest_event_ack()->set_seq(1); }},
  };
  return messages;
}

// Every field of every message that generation 3 adds has a value.
const GoldenMessages& GenerationThree() {
  using Session = v1::SessionsReply::Session;
  static const GoldenMessages messages = {
      {"exec-start-detach",
       [](v1::Envelope& m) {
         m.mutable_exec_start()->add_argv("make");
         m.mutable_exec_start()->set_detach(true);
       }},
      {"exec-started-session",
       [](v1::Envelope& m) {
         m.mutable_exec_started()->set_pid(77);
         m.mutable_exec_started()->set_session("7c1f03aa");
       }},
      {"exec-attach",
       [](v1::Envelope& m) {
         m.mutable_exec_attach()->set_session("7c1f03aa");
         m.mutable_exec_attach()->set_rows(24);
         m.mutable_exec_attach()->set_columns(80);
       }},
      {"exec-attached",
       [](v1::Envelope& m) {
         auto& attached = *m.mutable_exec_attached();
         attached.set_pid(77);
         attached.set_tty(true);
         attached.set_stdin_open(true);
         attached.set_stdin_window(262144);
         attached.set_lost_bytes(1000);
       }},
      {"sessions-call",
       [](v1::Envelope& m) {
         m.mutable_sessions_call()->set_verb(v1::SessionsCall::SIGNAL);
         m.mutable_sessions_call()->set_session("7c1f03aa");
         m.mutable_sessions_call()->set_signal(10);
       }},
      {"sessions-reply",
       [](v1::Envelope& m) {
         auto& reply = *m.mutable_sessions_reply();
         reply.set_monotonic_us(9'000'000);
         Session& row = *reply.add_sessions();
         row.set_id("7c1f03aa");
         row.set_pid(77);
         row.set_command("make world");
         row.set_tty(true);
         row.set_detach(true);
         row.set_attached(true);
         row.set_start_us(1'000'000);
         row.set_end_us(2'000'000);
         row.set_code(2);
         reply.add_sessions()->set_signal(9);
       }},
      {"log-follow",
       [](v1::Envelope& m) {
         m.mutable_log_follow()->set_boot_id(Bytes(0x10, 16));
         m.mutable_log_follow()->set_after_seq(41);
       }},
      {"log-following",
       [](v1::Envelope& m) {
         m.mutable_log_following()->set_oldest_seq(7);
         m.mutable_log_following()->set_next_seq(42);
       }},
      {"log-ack", [](v1::Envelope& m) { m.mutable_log_ack()->set_seq(41); }},
      {"copy-start-to-guest",
       [](v1::Envelope& m) {
         auto& start = *m.mutable_copy_start();
         start.set_direction(v1::CopyStart::TO_GUEST);
         start.set_path("/srv");
         start.set_name("site");
         start.set_content(true);
         start.set_into_directory(true);
         start.set_keep_owner(true);
       }},
      {"copy-start-from-guest",
       [](v1::Envelope& m) {
         m.mutable_copy_start()->set_direction(v1::CopyStart::FROM_GUEST);
         m.mutable_copy_start()->set_path("/var/log");
         m.mutable_copy_start()->set_follow(true);
       }},
      {"copy-entry",
       [](v1::Envelope& m) {
         auto& entry = *m.mutable_copy_entry();
         entry.set_name("a");
         entry.set_kind(v1::CopyEntry::FILE);
         entry.set_mode(0644);
         entry.set_uid(1000);
         entry.set_gid(100);
         entry.set_mtime_s(-1);
         entry.set_mtime_ns(5);
         entry.set_size(4096);
         entry.set_link(1);
       }},
      {"copy-entry-symlink",
       [](v1::Envelope& m) {
         m.mutable_copy_entry()->set_kind(v1::CopyEntry::SYMLINK);
         m.mutable_copy_entry()->set_target("../b");
       }},
      {"copy-hole", [](v1::Envelope& m) { m.mutable_copy_hole()->set_bytes(1 << 20); }},
      {"copy-file-end",
       [](v1::Envelope& m) {
         m.mutable_copy_file_end()->set_size(4096);
         m.mutable_copy_file_end()->set_checksum(0x0123456789abcdef);
         m.mutable_copy_file_end()->set_dropped(true);
       }},
      {"copy-leave", [](v1::Envelope& m) { m.mutable_copy_leave(); }},
      {"copy-note",
       [](v1::Envelope& m) {
         auto& note = *m.mutable_copy_note();
         note.set_path("dev/null");
         note.set_errnum(1);
         note.set_detail("a device");
         note.set_harmless(true);
       }},
      {"copy-done",
       [](v1::Envelope& m) {
         auto& done = *m.mutable_copy_done();
         done.set_entries(3);
         done.set_bytes(4096);
         done.set_checksum(0xfedcba9876543210);
         done.set_left_out(1);
       }},
      {"forward-tcp",
       [](v1::Envelope& m) {
         m.mutable_forward()->mutable_tcp()->set_host("::1");
         m.mutable_forward()->mutable_tcp()->set_port(5432);
       }},
      {"forward-unix", [](v1::Envelope& m) { m.mutable_forward()->set_unix_path("/run/db.sock"); }},
      {"forwarded", [](v1::Envelope& m) { m.mutable_forwarded(); }},
      {"stats-call", [](v1::Envelope& m) { m.mutable_stats_call(); }},
      {"stats-reply",
       [](v1::Envelope& m) {
         auto& reply = *m.mutable_stats_reply();
         reply.set_monotonic_us(1);
         reply.set_uptime_us(2);
         reply.set_load1_centi(3);
         reply.set_load5_centi(4);
         reply.set_load15_centi(5);
         auto& cpu = *reply.mutable_cpu();
         cpu.set_count(1);
         cpu.set_user_us(2);
         cpu.set_nice_us(3);
         cpu.set_system_us(4);
         cpu.set_idle_us(5);
         cpu.set_iowait_us(6);
         cpu.set_irq_us(7);
         cpu.set_softirq_us(8);
         cpu.set_steal_us(9);
         auto& memory = *reply.mutable_memory();
         memory.set_total_bytes(1);
         memory.set_free_bytes(2);
         memory.set_available_bytes(3);
         memory.set_cached_bytes(4);
         memory.set_swap_total_bytes(5);
         memory.set_swap_free_bytes(6);
         for (auto* pressure : {reply.mutable_cpu_pressure(), reply.mutable_memory_pressure(),
                                reply.mutable_io_pressure()}) {
           for (auto* line : {pressure->mutable_some(), pressure->mutable_full()}) {
             line->set_avg10_centi(1);
             line->set_avg60_centi(2);
             line->set_avg300_centi(3);
             line->set_total_us(4);
           }
         }
         auto& disk = *reply.add_disks();
         disk.set_name("vda");
         disk.set_reads(1);
         disk.set_read_bytes(2);
         disk.set_writes(3);
         disk.set_write_bytes(4);
         disk.set_busy_us(5);
         auto& file_system = *reply.add_file_systems();
         file_system.set_path("/");
         file_system.set_device("/dev/vda");
         file_system.set_type("ext4");
         file_system.set_total_bytes(3);
         file_system.set_free_bytes(2);
         file_system.set_available_bytes(1);
         auto& interface = *reply.add_interfaces();
         interface.set_name("eth0");
         interface.set_rx_bytes(1);
         interface.set_rx_packets(2);
         interface.set_rx_errors(3);
         interface.set_rx_dropped(4);
         interface.set_tx_bytes(5);
         interface.set_tx_packets(6);
         interface.set_tx_errors(7);
         interface.set_tx_dropped(8);
         for (auto* group : {reply.add_services(), reply.add_sessions()}) {
           group->set_name("web");
           group->set_memory_bytes(0);
           group->set_memory_peak_bytes(1);
           group->set_cpu_us(2);
           group->set_tasks(3);
           group->set_oom_kills(4);
           group->set_read_bytes(5);
           group->set_write_bytes(6);
         }
         reply.set_left_out(1);
       }},
      {"guest-event-health-changed",
       [](v1::Envelope& m) {
         m.mutable_guest_event()->set_seq(3);
         m.mutable_guest_event()->mutable_health_changed();
       }},
      {"guest-event-thawed-in-time",
       [](v1::Envelope& m) {
         m.mutable_guest_event()->set_seq(4);
         m.mutable_guest_event()->mutable_thawed_in_time()->set_mounts(2);
       }},
      {"health-configure",
       [](v1::Envelope& m) {
         auto& http = *m.mutable_health_configure()->add_checks();
         http.set_name("web");
         http.set_kind(v1::HealthConfigure::Check::HTTP);
         http.set_target("http://127.0.0.1/up");
         http.set_socket("/run/web.sock");
         http.set_status_min(200);
         http.set_status_max(399);
         http.set_body("ok");
         http.set_interval_ms(10'000);
         http.set_timeout_ms(5000);
         http.set_start_period_ms(1000);
         http.set_healthy_after(1);
         http.set_unhealthy_after(3);
         m.mutable_health_configure()->add_checks()->add_exec("true");
       }},
      {"health-configured", [](v1::Envelope& m) { m.mutable_health_configured(); }},
      {"health-call", [](v1::Envelope& m) { m.mutable_health_call(); }},
      {"health-reply",
       [](v1::Envelope& m) {
         auto& reply = *m.mutable_health_reply();
         auto& check = *reply.add_checks();
         check.set_name("web");
         check.set_state(v1::HealthReply::Check::UNHEALTHY);
         check.set_source(v1::HealthReply::Check::HOST);
         check.set_since_us(1);
         check.set_result("status 500");
         check.set_output("oops");
         check.set_runs(2);
         check.set_failures(3);
         check.set_changes(4);
         check.set_last_us(5);
         check.set_took_us(6);
         check.set_next_us(7);
         reply.set_services_why("no PID 1");
         reply.set_monotonic_us(9'000'000);
       }},
      {"clock-call", [](v1::Envelope& m) { m.mutable_clock_call(); }},
      {"clock-reply",
       [](v1::Envelope& m) {
         m.mutable_clock_reply()->set_realtime_ns(1'700'000'000'000'000'000);
         m.mutable_clock_reply()->set_own_time(true);
       }},
      {"clock-step",
       [](v1::Envelope& m) {
         m.mutable_clock_step()->set_delta_ns(-1'000'000);
         m.mutable_clock_step()->set_error_ns(400);
       }},
      {"clock-stepped",
       [](v1::Envelope& m) {
         m.mutable_clock_stepped()->set_done(true);
         m.mutable_clock_stepped()->set_why("own time");
       }},
      {"reseed", [](v1::Envelope& m) { m.mutable_reseed()->set_seed(Bytes(0x40, 32)); }},
      {"reseeded", [](v1::Envelope& m) { m.mutable_reseeded(); }},
      {"freeze", [](v1::Envelope& m) { m.mutable_freeze()->set_timeout_ms(10'000); }},
      {"freeze-reply",
       [](v1::Envelope& m) {
         auto& mount = *m.mutable_freeze_reply()->add_mounts();
         mount.set_path("/data");
         mount.set_type("ext4");
         mount.set_frozen(true);
         mount.set_why("read-only");
         m.mutable_freeze_reply()->set_failed("EIO");
       }},
      {"thaw", [](v1::Envelope& m) { m.mutable_thaw(); }},
      {"thaw-reply", [](v1::Envelope& m) { m.mutable_thaw_reply()->set_mounts(1); }},
      {"online", [](v1::Envelope& m) { m.mutable_online(); }},
      {"online-reply",
       [](v1::Envelope& m) {
         auto& reply = *m.mutable_online_reply();
         reply.set_cpus_before(1);
         reply.set_cpus_after(2);
         reply.set_cpus_present(3);
         reply.set_memory_before(4);
         reply.set_memory_after(5);
         reply.set_memory_present(6);
         reply.set_failed("cpu2");
       }},
  };
  return messages;
}

}  // namespace berth::wire
