import Glibc

/// Pauses between looks at something that other ranks bring about: none at first, then longer ones the longer
/// it takes, but short beside the wait. Ranks may have less than a core each, and whoever is waited for needs
/// it.
package struct Pauses {
  private var looks: UInt32 = 0
  /// Looks without a pause.
  private let eager: UInt32
  /// Microseconds of the longest pause.
  private let longest: UInt32

  package init(eager: UInt32 = 500, longest: UInt32 = 1000) {
    self.eager = eager
    self.longest = longest
  }

  package mutating func pause() {
    looks += 1
    if looks > eager { usleep(min(longest, 20 + (looks - eager))) }
  }
}
