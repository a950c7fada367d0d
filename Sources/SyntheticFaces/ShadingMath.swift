import Foundation

/// The few functions that drawing is made of.

@inline(__always) func exponential(_ x: Float) -> Float { expf(x) }

@inline(__always) func clamp01(_ x: Float) -> Float { min(max(x, 0), 1) }

@inline(__always) func mix(_ a: Float, _ b: Float, _ t: Float) -> Float { a + (b - a) * t }

@inline(__always)
func mix(_ a: SIMD4<Float>, _ b: SIMD4<Float>, _ t: Float) -> SIMD4<Float> { a + (b - a) * t }

/// Cubic step from 0 at `low` to 1 at `high`.
@inline(__always)
func smoothStep(_ low: Float, _ high: Float, _ x: Float) -> Float {
  let t = clamp01((x - low) / (high - low))
  return t * t * (3 - 2 * t)
}

/// A smooth hill of height 1 at squared distance 0 that ends at squared distance 1.
@inline(__always)
func bump(_ squaredDistance: Float) -> Float {
  let t = max(0, 1 - squaredDistance)
  return t * t * t
}

@inline(__always) func square(_ x: Float) -> Float { x * x }

/// Linear light of an sRGB colour given in bytes.
func linear(_ red: Float, _ green: Float, _ blue: Float) -> SIMD4<Float> {
  func decode(_ c: Float) -> Float { powf(c / 255, 2.2) }
  return SIMD4(decode(red), decode(green), decode(blue), 0)
}

/// Luminance of a linear colour (Rec. 709 weights).
@inline(__always)
func luminance(_ c: SIMD4<Float>) -> Float { 0.2126 * c.x + 0.7152 * c.y + 0.0722 * c.z }

/// Lattice noise: hashed values at integer points, smoothly interpolated, in −1…1.
struct ValueNoise: Sendable {
  let seed: UInt32

  /// One octave at (x, y), lattice spacing 1.
  @inline(__always)
  func callAsFunction(_ x: Float, _ y: Float) -> Float {
    let shiftedX = (x - 0.5) + 12_582_912
    let shiftedY = (y - 0.5) + 12_582_912
    let ix = shiftedX.bitPattern &- 0x4B40_0000
    let iy = shiftedY.bitPattern &- 0x4B40_0000
    var tx = x - (shiftedX - 12_582_912)
    var ty = y - (shiftedY - 12_582_912)
    tx = tx * tx * (3 - 2 * tx)
    ty = ty * ty * (3 - 2 * ty)
    // The four corners are hashed together.
    let corners = lattice(SIMD4(ix, ix &+ 1, ix, ix &+ 1), SIMD4(iy, iy, iy &+ 1, iy &+ 1))
    let sides = corners.evenHalf + (corners.oddHalf - corners.evenHalf) * tx
    return sides.x + (sides.y - sides.x) * ty
  }

  /// Four octaves at once, one a lane: frequencies 1, 2, 4, 8, amplitudes the lanes of `weights`.
  @inline(__always)
  func fractal(_ x: Float, _ y: Float, _ weights: SIMD4<Float>) -> Float {
    let frequencies = SIMD4<Float>(1, 2, 4, 8)
    let xs = SIMD4(repeating: x) * frequencies + SIMD4(0, 17.3, 34.6, 51.9)
    let ys = SIMD4(repeating: y) * frequencies - SIMD4(0, 17.3, 34.6, 51.9)
    let (ix, fx) = Self.whole(xs)
    let (iy, fy) = Self.whole(ys)
    var tx = xs - fx
    var ty = ys - fy
    tx = tx * tx * (3 - 2 * tx)
    ty = ty * ty * (3 - 2 * ty)
    let a = lattice(ix, iy)
    let b = lattice(ix &+ 1, iy)
    let c = lattice(ix, iy &+ 1)
    let d = lattice(ix &+ 1, iy &+ 1)
    let top = a + (b - a) * tx
    let bottom = c + (d - c) * tx
    return ((top + (bottom - top) * ty) * weights).sum()
  }

  /// The whole number below each lane (of −2²¹…2²¹), as integers and as floats: adding 1.5 · 2²³
  /// leaves it in the low bits of the mantissa. At whole numbers either neighbour may come out, which
  /// interpolation does not notice.
  @inline(__always)
  private static func whole(_ x: SIMD4<Float>) -> (SIMD4<UInt32>, SIMD4<Float>) {
    let shifted = (x - 0.5) + 12_582_912
    return (unsafeBitCast(shifted, to: SIMD4<UInt32>.self) &- 0x4B40_0000, shifted - 12_582_912)
  }

  @inline(__always)
  private func lattice(_ x: SIMD4<UInt32>, _ y: SIMD4<UInt32>) -> SIMD4<Float> {
    var h = x &* 0x9E37_79B1 ^ y &* 0x85EB_CA77 ^ SIMD4(repeating: seed)
    h ^= h &>> 15
    h = h &* 0x2C1B_3C6D
    h ^= h &>> 12
    h = h &* 0x297A_2D39
    h ^= h &>> 15
    // 23 bits as the mantissa of a float in 1…2.
    let bits = (h &>> 9) | 0x3F80_0000
    return unsafeBitCast(bits, to: SIMD4<Float>.self) * 2 - 3
  }
}

/// A quick stream of roughly normal values for sensor noise: the sum of four 16-bit uniforms of
/// a SplitMix64 word (Steele et al. 2014), seeded from a counter-based draw.
struct GrainGenerator {
  private var state: UInt64

  init(seed: UInt64) { state = seed }

  /// Mean 0, variance 1, bounded by ±3.5.
  @inline(__always)
  mutating func next() -> Float {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    z ^= z >> 31
    let sum =
      Float(z & 0xFFFF) + Float((z >> 16) & 0xFFFF) + Float((z >> 32) & 0xFFFF) + Float(z >> 48)
    return (sum * (1 / 65_536) - 2) * 1.732_050_8
  }

  @inline(__always)
  mutating func colour() -> SIMD4<Float> { SIMD4(next(), next(), next(), 0) }
}
