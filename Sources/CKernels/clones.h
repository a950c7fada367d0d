#pragma once

// RFM_CLONES before a function makes one version of it for each level of the x86-64 instruction
// set; the best one that the processor has is chosen when the program is loaded. Elsewhere, and
// under the sanitizers (whose runtime is not ready at that time), there is the plain version only.
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || \
    __has_feature(memory_sanitizer) || __has_feature(undefined_behavior_sanitizer)
#define RFM_SANITIZED 1
#endif
#endif

#if defined(__x86_64__) && defined(__linux__) && !defined(RFM_SANITIZED) && \
    defined(__has_attribute)
#if __has_attribute(target_clones)
#define RFM_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#endif
#endif

#ifndef RFM_CLONES
#define RFM_CLONES
#endif
