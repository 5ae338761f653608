// SPDX-License-Identifier: Apache-2.0
//
// docs/lifecycle.md against the table it is generated from. With BERTH_UPDATE_DOCS=1 the test
// writes the page's generated parts anew.
#include "supervisor/lifecycle/render.h"

#include <gtest/gtest.h>

#include "supervisor/lifecycle/generated_doc.h"

namespace berth::lifecycle {
namespace {

TEST(LifecyclePage, SaysWhatTheTableSays) {
  for (const auto& [part, text] :
       {std::pair("diagram", RenderDiagram()), std::pair("states", RenderStates()),
        std::pair("edges", RenderEdges())}) {
    EXPECT_EQ(GeneratedPart("docs/lifecycle.md", part, text), text) << part;
  }
}

}  // namespace
}  // namespace berth::lifecycle
