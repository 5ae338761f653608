# SPDX-License-Identifier: Apache-2.0
#
# Everything that either end reads from the other.
berth_fuzzer(wire_frames_fuzz SRCS wire_frames_fuzz.cc DEPS berth_wire CORPUS corpus/wire_frames)
berth_fuzzer(wire_envelope_fuzz SRCS wire_envelope_fuzz.cc DEPS berth_wire berth_agent berth_guest_client berth_api
  CORPUS corpus/wire_envelope)
berth_fuzzer(wire_agent_settings_fuzz SRCS wire_agent_settings_fuzz.cc DEPS berth_base CORPUS corpus/wire_agent_settings)
berth_fuzzer(wire_accounts_fuzz SRCS wire_accounts_fuzz.cc DEPS berth_agent CORPUS corpus/wire_accounts)
berth_fuzzer(wire_dial_reply_fuzz SRCS wire_dial_reply_fuzz.cc DEPS berth_guest_client CORPUS corpus/wire_dial_reply)
berth_fuzzer(wire_relay_fuzz SRCS wire_relay_fuzz.cc DEPS berth_wire CORPUS corpus/wire_relay)
