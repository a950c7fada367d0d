/// Some of the samples 0..<total in ascending order: a bit a sample, and of every block of 512 samples how
/// many there are before it. The k-th is found by these counts, without a list of numbers.
struct SampleSubset: Sendable {
  /// How many there are.
  let count: Int
  /// Empty where all samples are in it.
  private let bits: [UInt64]
  /// Samples of the subset before each block.
  private let before: [UInt32]

  private static let blockWords = 8

  /// - Parameters:
  ///   - total: below 2³².
  ///   - includes: asked of every sample once, in their order.
  init(of total: Int, where includes: (Int) -> Bool) {
    precondition((0..<1 << 32).contains(total), "a subset of less than 2^32 samples was expected")
    var bits = [UInt64](repeating: 0, count: (total + 63) / 64)
    var before: [UInt32] = []
    before.reserveCapacity(bits.count / Self.blockWords + 1)
    var count = 0
    for word in bits.indices {
      if word % Self.blockWords == 0 { before.append(UInt32(count)) }
      var present: UInt64 = 0
      let first = word * 64
      for sample in first..<min(first + 64, total) where includes(sample) {
        present |= 1 << UInt64(sample - first)
      }
      bits[word] = present
      count += present.nonzeroBitCount
    }
    self.count = count
    self.bits = count == total ? [] : bits
    self.before = count == total ? [] : before
  }

  /// The number of the k-th sample of the subset, from 0.
  subscript(k: Int) -> Int {
    precondition((0..<count).contains(k), "sample \(k) of \(count)")
    if bits.isEmpty { return k }
    var (low, high) = (0, before.count)
    while high - low > 1 {
      let middle = (low + high) / 2
      if Int(before[middle]) <= k { low = middle } else { high = middle }
    }
    var left = k - Int(before[low])
    var word = low * Self.blockWords
    while bits[word].nonzeroBitCount <= left {
      left -= bits[word].nonzeroBitCount
      word += 1
    }
    var rest = bits[word]
    for _ in 0..<left { rest &= rest - 1 }
    return word * 64 + rest.trailingZeroBitCount
  }
}
