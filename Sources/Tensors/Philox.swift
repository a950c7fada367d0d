// Counter-based random numbers: every draw of a run has an address, so it can be made on any rank,
// in any order, as often as needed, and always comes out the same. Nothing here has hidden state
// that would have to be saved in a checkpoint or kept equal over ranks.

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// Philox 4×32 with ten rounds: a bijection of 128-bit counters for every 64-bit key whose outputs
/// pass as independent uniform bits.
///
/// Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011,
/// section 4.
public struct Philox {
  /// The 128 random bits at `counter` of the stream family `key`.
  @inlinable
  public static func block(counter: SIMD4<UInt32>, key: SIMD2<UInt32>) -> SIMD4<UInt32> {
    var (c0, c1, c2, c3) = (counter.x, counter.y, counter.z, counter.w)
    var (k0, k1) = (key.x, key.y)
    for _ in 0..<10 {
      let left = UInt64(c0) &* 0xD251_1F53
      let right = UInt64(c2) &* 0xCD9E_8D57
      let high = (UInt32(truncatingIfNeeded: left >> 32), UInt32(truncatingIfNeeded: right >> 32))
      let next0 = high.1 ^ c1 ^ k0
      let next2 = high.0 ^ c3 ^ k1
      c1 = UInt32(truncatingIfNeeded: right)
      c3 = UInt32(truncatingIfNeeded: left)
      c0 = next0
      c2 = next2
      k0 &+= 0x9E37_79B9
      k1 &+= 0xBB67_AE85
    }
    return SIMD4(c0, c1, c2, c3)
  }
}

/// What a stream of draws is for; streams of different purposes are independent. The numbers are
/// part of what makes a run reproducible: append only, below 256.
public enum RandomPurpose: UInt32, Sendable {
  case order = 1
  case crop, flip, erase, fill, dropout, initialisation, synthesis, split, degradation
  case dropPath, augmentation, selfBlending
  /// Apart from those of training, which are appended before it.
  case bootstrap = 200
}

/// A stream of draws for (seed, epoch, sample, purpose), the same on every machine and every rank.
///
/// The seed is Philox's key. The 128-bit counter is put together so that no two streams, and no
/// two blocks of a stream, share one:
///
/// | word | bits | holds |
/// | --- | --- | --- |
/// | x | 32 | block, low part |
/// | y | 32 | sample, low part |
/// | z | 16, 8, 8 | sample, high part; purpose; block, high part |
/// | w | 32 | epoch |
///
/// That is room for 2⁴⁸ samples, 2³² epochs, 255 purposes and 2⁴² draws of 32 bits each. A purpose that
/// is several things can give each a part of its own, of 2³⁴ draws: the high part of the block.
public struct CounterGenerator: RandomNumberGenerator, Sendable {
  @usableFromInline let key: SIMD2<UInt32>
  @usableFromInline let origin: SIMD4<UInt32>
  @usableFromInline var blockIndex: UInt64 = 0
  @usableFromInline var buffer = SIMD4<UInt32>()
  /// Which word of `buffer` is next; 4 when it is used up.
  @usableFromInline var word = 4
  @usableFromInline var spareNormal: Double?

  /// The stream at its beginning.
  ///
  /// - Parameters:
  ///   - seed: the run's seed.
  ///   - epoch: below 2³².
  ///   - sample: number of the sample (or of whatever is drawn for), below 2⁴⁸.
  ///   - purpose: what the draws are for.
  ///   - part: where in the stream it begins: at draw 2³⁴ · part.
  public init(
    seed: UInt64, epoch: UInt64 = 0, sample: UInt64 = 0, purpose: RandomPurpose, part: UInt8 = 0
  ) {
    precondition(epoch < 1 << 32, "epoch must be below 2^32, is \(epoch)")
    precondition(sample < 1 << 48, "sample must be below 2^48, is \(sample)")
    key = SIMD2(UInt32(truncatingIfNeeded: seed), UInt32(truncatingIfNeeded: seed >> 32))
    origin = SIMD4(
      0, UInt32(truncatingIfNeeded: sample), UInt32(sample >> 32) | purpose.rawValue << 16,
      UInt32(epoch))
    blockIndex = UInt64(part) << 32
  }

  @inlinable
  mutating func nextBlock() -> SIMD4<UInt32> {
    defer { blockIndex += 1 }
    return block(at: blockIndex)
  }

  /// The 128 bits that the stream has at a block, below 2⁴⁰, however many were drawn so far.
  @inlinable
  public func block(at index: UInt64) -> SIMD4<UInt32> {
    precondition(index < 1 << 40, "a stream of random draws ends after 2^42 draws")
    var counter = origin
    counter.x = UInt32(truncatingIfNeeded: index)
    counter.z |= UInt32(truncatingIfNeeded: index >> 32) << 24
    return Philox.block(counter: counter, key: key)
  }

  /// 32 uniform bits.
  @inlinable
  public mutating func nextUInt32() -> UInt32 {
    if word == 4 {
      buffer = nextBlock()
      word = 0
    }
    defer { word += 1 }
    return buffer[word]
  }

  /// 64 uniform bits: the next two words, low one first.
  @inlinable
  public mutating func next() -> UInt64 {
    let low = UInt64(nextUInt32())
    return low | UInt64(nextUInt32()) << 32
  }

  /// A multiple of 2⁻²⁴ in [0, 1).
  @inlinable
  public mutating func uniform() -> Float { Float(nextUInt32() >> 8) * 0x1p-24 }

  /// A multiple of 2⁻⁵³ in [0, 1).
  @inlinable
  public mutating func uniformDouble() -> Double { Double(next() >> 11) * 0x1p-53 }

  /// An unbiased integer in 0..<n, by multiplication with rejection (Lemire, "Fast random integer
  /// generation in an interval", 2019).
  @inlinable
  public mutating func below(_ n: Int) -> Int {
    precondition(n > 0, "below(n) needs n > 0, is \(n)")
    let range = UInt64(n)
    var product = range.multipliedFullWidth(by: next())
    if product.low < range {
      let threshold = (0 &- range) % range
      while product.low < threshold { product = range.multipliedFullWidth(by: next()) }
    }
    return Int(product.high)
  }

  /// A draw from the standard normal distribution (Box and Muller 1958). Draws come in pairs of
  /// which the second is kept for the next call. Rounding is that of the machine's `log` and `cos`.
  public mutating func normal() -> Double {
    if let spare = spareNormal {
      spareNormal = nil
      return spare
    }
    let radius = (-2 * log(1 - uniformDouble())).squareRoot()
    let angle = 2 * Double.pi * uniformDouble()
    spareNormal = radius * sin(angle)
    return radius * cos(angle)
  }

  /// Fills `out` with `low + (high - low) · uniform()`: the same values that as many calls of
  /// ``uniform()`` would give, without their overhead.
  public mutating func fillUniform(
    _ out: UnsafeMutableBufferPointer<Float>, low: Float, high: Float
  ) {
    let scale = (high - low) * 0x1p-24
    var i = 0
    while i < out.count, word < 4 {
      out[i] = low + Float(nextUInt32() >> 8) * scale
      i += 1
    }
    while i + 4 <= out.count {
      let draws = nextBlock() &>> 8
      for lane in 0..<4 { out[i + lane] = low + Float(draws[lane]) * scale }
      i += 4
    }
    while i < out.count {
      out[i] = low + Float(nextUInt32() >> 8) * scale
      i += 1
    }
  }
}
