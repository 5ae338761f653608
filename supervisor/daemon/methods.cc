// SPDX-License-Identifier: Apache-2.0
//
// The table of methods. Handlers stand in handlers_*.cc.
#include "supervisor/daemon/handlers.h"
#include "supervisor/daemon/method.h"

namespace berth::daemon {
namespace {

using enum ParamType;

constexpr Param kName{"name", kString, true, "the VM"};

constexpr Param kJustName[] = {kName};
constexpr Param kCreate[] = {{"spec", kObject, true, "the VM's spec, see docs/hypervisors.md"}};
constexpr Param kStop[] = {kName,
                           {"timeout_ms", kCount, false,
                            "for the guest to power off; default: the spec's timeouts_ms.stop"}};
constexpr Param kRemove[] = {kName, {"force", kFlag, false, "kill it first if it is up"}};
constexpr Param kWait[] = {
    kName,
    {"states", kStrings, true, "names of states; the first that is reached ends the wait"},
    {"timeout_ms", kCount, false, "at most and by default 3600000"}};
constexpr Param kConsole[] = {kName, {"max_bytes", kCount, false, "from the end; at most 262144"}};
constexpr Param kEvents[] = {
    {"cursor", kString, false, "as an earlier answer gave it; none: from the oldest entry kept"},
    {"name", kString, false, "only entries of this VM"},
    {"limit", kCount, false, "entries in an answer, at most and by default 256"},
    {"follow_ms", kCount, false,
     "how long to wait for an entry where there is none yet, at most 60000; default: not at all"}};
constexpr Param kCopy[] = {
    kName,
    {"direction", kString, true, "to-guest or from-guest"},
    {"path", kString, true, "in the guest, absolute"},
    {"follow", kFlag, false, "from-guest: where the path is a symbolic link, what it leads to"},
    {"source_name", kString, false,
     "to-guest: what the source is called where the path is a directory"},
    {"content", kFlag, false, "to-guest: the source is a directory whose entries go into the path"},
    {"into_directory", kFlag, false, "to-guest: the path must be a directory, or become one"},
    {"keep_owner", kFlag, false,
     "to-guest: owners as they are sent, and set-id bits; default: all becomes root's"}};
constexpr Param kLogs[] = {
    kName,
    {"cursor", kString, false, "as an earlier answer gave it; none: from the oldest record kept"},
    {"since_ms", kCount, false, "only records of this time or later: ms since 1970, guest's clock"},
    {"until_ms", kCount, false, "only records of this time or earlier"},
    {"sources", kStrings, false, "only lines of these"},
    {"level", kString, false,
     "only lines of this level or a graver one: emerg to debug, or 0 to 7"},
    {"last", kCount, false,
     "from so many of the lines asked for before the end; not with a cursor"},
    {"limit", kCount, false, "records in an answer, at most and by default 512"},
    {"follow_ms", kCount, false,
     "how long to wait for a record where there is none yet, at most 60000; default: not at all"}};
constexpr Param kExec[] = {
    kName,
    {"argv", kStrings, true, "program and arguments"},
    {"env", kStrings, false, "\"NAME=value\", on top of the agent's defaults"},
    {"cwd", kString, false, "default: the user's home, else /"},
    {"user", kString, false, "name or number; default: 0"},
    {"group", kString, false, "name or number; default: the user's own"},
    {"groups", kStrings, false, "supplementary; default: the user's own"},
    {"tty", kFlag, false, "on a terminal of its own"},
    {"rows", kCount, false, "of the terminal"},
    {"columns", kCount, false, "of the terminal"},
    {"term", kString, false, "TERM, on a terminal"},
    {"stdin", kFlag, false, "stdin is open; otherwise the program reads end of file at once"},
    {"detach", kFlag, false, "the session outlives its connection; compute.vm.attach leads back"},
    {"timeout_ms", kCount, false, "SIGTERM then; default: none"},
    {"kill_grace_ms", kCount, false, "and SIGKILL so much later; default: 5000"}};

constexpr Param kAttach[] = {kName,
                             {"session", kString, true, "its id"},
                             {"rows", kCount, false, "of the client's terminal"},
                             {"columns", kCount, false, "of the client's terminal"}};
constexpr Param kSessions[] = {
    kName,
    {"verb", kString, true, "ls, end (SIGTERM, then SIGKILL to all of it) or signal"},
    {"session", kString, false, "its id; not with ls"},
    {"signal", kCount, false, "with signal: its number"}};
constexpr Param kForward[] = {
    kName,
    {"host", kString, false,
     "an address, or localhost; default: localhost. Names are not resolved in the guest"},
    {"port", kCount, false, "TCP, 1 to 65535"},
    {"path", kString, false, "instead of a port: an absolute path of a Unix socket in the guest"}};

constexpr Param kService[] = {
    kName,
    {"verb", kString, true, "ls, status, start, stop, restart or reload"},
    {"service", kString, false, "one of the guest's; not with ls"},
    {"timeout_ms", kCount, false, "for the service to get there, at most 3600000; default: 90000"}};

constexpr Param kClockParams[] = {
    kName, {"set", kFlag, false, "set it, also where it is off by less than berthd minds"}};

constexpr Param kFreezeParams[] = {
    kName,
    {"timeout_ms", kCount, false,
     "then the guest's agent thaws by itself; at most 600000, default: 10000"}};

constexpr Param kHealthParams[] = {
    kName,
    {"seen", kString, false, "as an earlier answer gave it: wait for something else"},
    {"follow_ms", kCount, false, "how long to wait for that, at most 60000; default: not at all"}};

constexpr Method kMethods[] = {
    {"compute.host.doctor",
     "Checks what this host needs to run VMs.",
     {},
     "checks",
     "an array of {name, verdict: ok | warning | failed, found, mend}",
     HostDoctor},
    {"compute.host.info",
     "What this daemon is.",
     {},
     "info",
     "version, generation, pid, uptime_ms, state_dir, and VMs by state",
     HostInfo},
    {"compute.vm.attach", "Goes back into a session that was started with detach.", kAttach,
     "session", "{handover: true}; as compute.vm.exec, with ExecAttach in ExecStart's stead",
     VmAttach, true, true},
    {"compute.vm.clock", "Measures how far a guest's clock is off, and sets it where asked to.",
     kClockParams, "clock",
     "{offset_ms, error_ms, stepped, own_time, why}: the guest's clock less the host's, before a "
     "step",
     VmClock},
    {"compute.vm.console", "The end of a VM's console log.", kConsole, "console",
     "{text, truncated}", VmConsole},
    {"compute.vm.copy", "Copies a file or a tree between host and guest.", kCopy, "copy",
     "{handover: true}; behind this line comes one byte with a descriptor (SCM_RIGHTS): the "
     "connection to the guest's agent, on which Hello and CopyStart have been sent",
     VmCopy, true, true},
    {"compute.vm.create", "Accepts a VM; it is Pending then and owns nothing.", kCreate, "vm",
     "the VM as status shows it", VmCreate, true},
    {"compute.vm.events.tail",
     "Reads the event log of all VMs from a cursor on, and waits for more if asked to.", kEvents,
     "page", "{events, cursor, lost}; `lost`: entries behind the cursor that are gone for good",
     VmEventsTail},
    {"compute.vm.exec", "Starts a program in a VM.", kExec, "session",
     "{handover: true}; behind this line comes one byte with a descriptor (SCM_RIGHTS): the "
     "connection to the guest's agent, on which Hello and ExecStart have been sent",
     VmExec, true, true},
    {"compute.vm.forward",
     "Connects to a TCP port or a Unix socket in a VM. An event for each target and connection to "
     "this API, however often it is asked for.",
     kForward, "connection",
     "{handover: true}; behind this line comes one byte with a descriptor (SCM_RIGHTS): the "
     "connection to the guest's agent, on which Hello and Forward have been sent",
     VmForward, false, true},
    {"compute.vm.freeze", "Holds all writes to a guest's file systems on block devices.",
     kFreezeParams, "frozen",
     "{mounts: an array of {path, type, frozen, why}, timeout_ms}; the guest's claim", VmFreeze,
     true},
    {"compute.vm.health", "The health of a VM: its agent, and the checks that its guest runs.",
     kHealthParams, "health",
     "{vm, health: healthy | unhealthy | unknown, seen, fresh, checks, guest_ms}: a row for each "
     "check, `agent` first; but for that one, the guest's claim",
     VmHealth},
    {"compute.vm.kill", "Ends a VM at once.", kJustName, "vm", "the VM as status shows it", VmKill,
     true},
    {"compute.vm.list", "All VMs.", {}, "vms", "an array, by name", VmList},
    {"compute.vm.logs",
     "Reads what a VM's guest logged from a cursor on, and waits for more if asked to. Works in "
     "any "
     "state of the VM.",
     kLogs, "page",
     "{records, cursor, end, over, lost, note}. A record: {cursor, seq, boot, time_ns, "
     "monotonic_ns, source, level, stderr, partial, text}, with text_base64 in place of text where "
     "it is no UTF-8; or {…, gap: {from, to, by, why}}: those records are lost. `end`: no more is "
     "kept; `over`: nor will there be before the next start; `lost`: records behind the cursor are "
     "not kept any more; `note`: why there may be less than expected, or null. An answer may hold "
     "no record and yet not be the end",
     VmLogPage},
    {"compute.vm.online", "Brings processors and memory of a guest online that were plugged.",
     kJustName, "online",
     "{cpus, memory_blocks, failed}: {before, after, present} each; the guest's claim", VmOnline,
     true},
    {"compute.vm.pause", "Holds a Running VM's processors still.", kJustName, "vm",
     "the VM as status shows it", VmPause, true},
    {"compute.vm.remove", "Forgets a VM that is not up and removes its directory.", kRemove,
     "removed", "{name}", VmRemove, true},
    {"compute.vm.resume", "Lets a paused VM go on.", kJustName, "vm", "the VM as status shows it",
     VmResume, true},
    {"compute.vm.service", "Asks the guest's PID 1 for its services, or gives one an order.",
     kService, "services",
     "{services, guest_ms}: with ls and status a row for each service; times are ms since the "
     "guest's kernel started, null: never. All of it is the guest's claim",
     VmService},
    {"compute.vm.sessions", "Lists a guest's exec sessions, or gives one an order.", kSessions,
     "sessions",
     "{sessions, guest_ms}: with ls a row for each; times are ms since the guest's kernel started. "
     "All of it is the guest's claim",
     VmSessions},
    {"compute.vm.start", "Starts a VM and waits until it is Running.", kJustName, "vm",
     "the VM as status shows it", VmStart, true},
    {"compute.vm.stats", "What a guest uses, and what its hypervisor does on this host.", kJustName,
     "stats",
     "{guest, host}: counters since the guest's boot, by its own claim; and cpu_us and rss_bytes "
     "of "
     "the hypervisor by this host's kernel. Null: not told. Times at_ms are of either's own clock",
     VmStats},
    {"compute.vm.status", "All about one VM.", kJustName, "vm",
     "spec, state, why, processes, agent, boot timeline, last transitions", VmStatus},
    {"compute.vm.stop", "Stops a VM in order, by force where that takes too long.", kStop, "vm",
     "the VM as status shows it", VmStop, true},
    {"compute.vm.thaw", "Lets a frozen guest's writes go on.", kJustName, "thawed",
     "{mounts}: how many were frozen; the guest's claim", VmThaw, true},
    {"compute.vm.wait", "Waits until a VM reaches one of some states.", kWait, "reached",
     "{state, guest_exit}: the one that was reached; and, of a VM that ended, what its guest said",
     VmWait},
    {"rpc.discover",
     "This table as an OpenRPC document.",
     {},
     "OpenRPC Schema",
     "an OpenRPC 1.2.6 document",
     nullptr},
};

}  // namespace

std::span<const Method> Methods() { return kMethods; }

}  // namespace berth::daemon
