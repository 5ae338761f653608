// SPDX-License-Identifier: Apache-2.0
//
// The handlers of the table in methods.cc. Parameters have been checked against it: those that it
// requires are there, and all have their types.
#ifndef BERTH_SUPERVISOR_DAEMON_HANDLERS_H_
#define BERTH_SUPERVISOR_DAEMON_HANDLERS_H_

#include "supervisor/daemon/method.h"

namespace berth::daemon {

using HandlerResult = boost::asio::awaitable<Outcome<Answer>>;

HandlerResult HostDoctor(Service& service, json params, Caller caller);
HandlerResult HostInfo(Service& service, json params, Caller caller);
HandlerResult VmAttach(Service& service, json params, Caller caller);
HandlerResult VmClock(Service& service, json params, Caller caller);
HandlerResult VmConsole(Service& service, json params, Caller caller);
HandlerResult VmCopy(Service& service, json params, Caller caller);
HandlerResult VmCreate(Service& service, json params, Caller caller);
HandlerResult VmEventsTail(Service& service, json params, Caller caller);
HandlerResult VmExec(Service& service, json params, Caller caller);
HandlerResult VmForward(Service& service, json params, Caller caller);
HandlerResult VmFreeze(Service& service, json params, Caller caller);
HandlerResult VmHealth(Service& service, json params, Caller caller);
HandlerResult VmKill(Service& service, json params, Caller caller);
HandlerResult VmList(Service& service, json params, Caller caller);
HandlerResult VmLogPage(Service& service, json params, Caller caller);
HandlerResult VmOnline(Service& service, json params, Caller caller);
HandlerResult VmPause(Service& service, json params, Caller caller);
HandlerResult VmRemove(Service& service, json params, Caller caller);
HandlerResult VmResume(Service& service, json params, Caller caller);
HandlerResult VmService(Service& service, json params, Caller caller);
HandlerResult VmSessions(Service& service, json params, Caller caller);
HandlerResult VmStart(Service& service, json params, Caller caller);
HandlerResult VmStats(Service& service, json params, Caller caller);
HandlerResult VmStatus(Service& service, json params, Caller caller);
HandlerResult VmStop(Service& service, json params, Caller caller);
HandlerResult VmThaw(Service& service, json params, Caller caller);
HandlerResult VmWait(Service& service, json params, Caller caller);

// The instance of a VM whose guest can be spoken to, or why it cannot: not Running, or paused.
Outcome<lifecycle::InstancePtr> SpeakingInstance(const lifecycle::Vm& vm, const std::string& step);

}  // namespace berth::daemon

#endif  // BERTH_SUPERVISOR_DAEMON_HANDLERS_H_
