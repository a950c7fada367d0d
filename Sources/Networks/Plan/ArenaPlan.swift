/// Places buffers in one memory so that those that are needed at the same time do not overlap.
///
/// Largest first, each at the lowest place that is free while it lives: for networks, which are chains
/// with few side branches, within some percent of what is needed at the worst moment.
struct ArenaPlan {
  struct Buffer {
    /// Bytes.
    let size: Int
    /// The moments from which and to which it is needed, both included.
    var first: Int
    var last: Int
  }

  private(set) var buffers: [Buffer] = []

  /// Asks for a buffer; returns its number.
  mutating func add(bytes: Int, first: Int, last: Int) -> Int {
    precondition(first <= last, "a buffer is needed from \(first) to \(last)")
    buffers.append(Buffer(size: (bytes + 63) / 64 * 64, first: first, last: last))
    return buffers.count - 1
  }

  /// Each buffer's first byte, a multiple of 64, and the size of all.
  func placed() -> (offsets: [Int], size: Int) {
    var offsets = [Int](repeating: 0, count: buffers.count)
    var done: [Int] = []
    var size = 0
    let order = buffers.indices.sorted {
      (-buffers[$0].size, buffers[$0].first, $0) < (-buffers[$1].size, buffers[$1].first, $1)
    }
    for index in order where buffers[index].size > 0 {
      let buffer = buffers[index]
      let others =
        done.filter { buffers[$0].first <= buffer.last && buffer.first <= buffers[$0].last }
        .sorted { offsets[$0] < offsets[$1] }
      var offset = 0
      for other in others {
        if offset + buffer.size <= offsets[other] { break }
        offset = max(offset, offsets[other] + buffers[other].size)
      }
      offsets[index] = offset
      size = max(size, offset + buffer.size)
      done.append(index)
    }
    return (offsets, size)
  }
}
