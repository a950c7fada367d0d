/// Lays buffers out one after another, each at a cache line's start.
struct MemoryPlan {
  private(set) var size = 0

  mutating func take(_ bytes: Int) -> Int {
    let at = size
    size += (bytes + 63) / 64 * 64
    return at
  }
}
