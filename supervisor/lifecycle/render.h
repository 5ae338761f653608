// SPDX-License-Identifier: Apache-2.0
//
// The transition table as Markdown, for docs/lifecycle.md: a diagram, the states, the edges. A test
// compares the page with what these return, so the page cannot say anything else than the code.
#ifndef BERTH_SUPERVISOR_LIFECYCLE_RENDER_H_
#define BERTH_SUPERVISOR_LIFECYCLE_RENDER_H_

#include <string>

namespace berth::lifecycle {

std::string RenderDiagram();  // Mermaid, which GitHub and GitLab draw
std::string RenderStates();
std::string RenderEdges();

}  // namespace berth::lifecycle

#endif  // BERTH_SUPERVISOR_LIFECYCLE_RENDER_H_
