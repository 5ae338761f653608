// SPDX-License-Identifier: Apache-2.0
//
// The init.toml of an image: what an OCI image says of its program, as the service "main", with
// what the author's own file says over it. Pure: text in, text out.
#ifndef BERTH_IMAGES_ROOTFS_SERVICE_TOML_H_
#define BERTH_IMAGES_ROOTFS_SERVICE_TOML_H_

#include <string>
#include <string_view>

#include "images/rootfs/oci.h"
#include "images/rootfs/source.h"

namespace berth::image {

// A TOML basic string with its quotes. What is not UTF-8 cannot be said in TOML: EILSEQ.
Result<std::string> TomlString(std::string_view text);

// "[service.main]" and its keys; empty where the image names no program.
Result<std::string> MainService(const OciConfig& config);

// The author's text with that service behind it, unchanged where it has no [service.main] of its
// own; else both key by key, the author's winning, in toml++'s words (comments are lost). Where the
// author names another main service, theirs alone counts. Step "config": `text` is not TOML.
Result<std::string> MergeConfig(std::string_view text, const OciConfig& config, Warnings& warnings);

}  // namespace berth::image

#endif  // BERTH_IMAGES_ROOTFS_SERVICE_TOML_H_
