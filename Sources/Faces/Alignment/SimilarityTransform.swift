/// A rotation, scaling and shift of the plane: p ↦ a·p + b over complex numbers. Points are pixels'
/// centres, at whole numbers.
public struct SimilarityTransform: Sendable, Equatable {
  /// Scale × (cosine, sine) of the angle.
  public let factor: SIMD2<Double>
  public let shift: SIMD2<Double>

  public init(factor: SIMD2<Double>, shift: SIMD2<Double>) {
    self.factor = factor
    self.shift = shift
  }

  /// The one that brings `points` closest to `targets` by the sum of squares (Umeyama 1991, without
  /// mirroring); nil where all points are one.
  ///
  /// a = Σ conj(p − p̄)(q − q̄) / Σ |p − p̄|², b = q̄ − a·p̄.
  public init?(
    from points: some Collection<SIMD2<Double>>, to targets: some Collection<SIMD2<Double>>
  ) {
    precondition(points.count == targets.count && !points.isEmpty)
    let count = Double(points.count)
    let centre = points.reduce(.zero, +) / count
    let target = targets.reduce(.zero, +) / count
    var (product, spread) = (SIMD2<Double>.zero, 0.0)
    for (point, goal) in zip(points, targets) {
      let (p, q) = (point - centre, goal - target)
      product += SIMD2(p.x * q.x + p.y * q.y, p.x * q.y - p.y * q.x)
      spread += p.x * p.x + p.y * p.y
    }
    guard spread > 0 else { return nil }
    factor = product / spread
    shift = target - Self.multiply(factor, centre)
  }

  @inline(__always)
  static func multiply(_ a: SIMD2<Double>, _ b: SIMD2<Double>) -> SIMD2<Double> {
    SIMD2(a.x * b.x - a.y * b.y, a.x * b.y + a.y * b.x)
  }

  public func callAsFunction(_ point: SIMD2<Double>) -> SIMD2<Double> {
    Self.multiply(factor, point) + shift
  }

  public func callAsFunction(_ point: SIMD2<Float>) -> SIMD2<Float> {
    SIMD2<Float>(self(SIMD2<Double>(point)))
  }

  /// The way back; nil where everything falls on one point.
  public var inverse: SimilarityTransform? {
    let square = factor.x * factor.x + factor.y * factor.y
    guard square > 0, square.isFinite else { return nil }
    let back = SIMD2(factor.x, -factor.y) / square
    return SimilarityTransform(factor: back, shift: -Self.multiply(back, shift))
  }
}
