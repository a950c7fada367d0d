import Testing

@testable import Faces

@Suite struct SimilarityTransformTests {
  @Test func whatPointsWentThroughIsFound() throws {
    var draws = SeededDraws(seed: 3)
    func draw() -> Double { Double.random(in: -50...50, using: &draws) }
    for _ in 0..<50 {
      let made = SimilarityTransform(
        factor: SIMD2(draw(), draw()) / 20, shift: SIMD2(draw(), draw()))
      let points = (0..<5).map { _ in SIMD2(draw(), draw()) }
      let found = try #require(SimilarityTransform(from: points, to: points.map { made($0) }))
      let back = try #require(found.inverse)
      for point in points {
        #expect(length(found(point) - made(point)) < 1e-9)
        #expect(length(back(found(point)) - point) < 1e-9)
      }
    }
  }

  /// Of all similarity transforms none is closer: nudged in any of its four numbers it is worse.
  @Test func theSumOfSquaresIsLeast() throws {
    var draws = SeededDraws(seed: 4)
    func draw() -> Double { Double.random(in: -50...50, using: &draws) }
    for _ in 0..<20 {
      let points = (0..<5).map { _ in SIMD2(draw(), draw()) }
      let goals = (0..<5).map { _ in SIMD2(draw(), draw()) }
      func squares(_ transform: SimilarityTransform) -> Double {
        zip(points, goals).reduce(0) { sum, pair in
          let d = length(transform(pair.0) - pair.1)
          return sum + d * d
        }
      }
      let best = try #require(SimilarityTransform(from: points, to: goals))
      for nudge in [SIMD2(1e-3, 0), SIMD2(0, 1e-3), SIMD2(-1e-3, 0), SIMD2(0, -1e-3)] {
        let factor = SimilarityTransform(factor: best.factor + nudge, shift: best.shift)
        let shift = SimilarityTransform(factor: best.factor, shift: best.shift + nudge)
        #expect(squares(factor) > squares(best) && squares(shift) > squares(best))
      }
    }
  }

  @Test func onePointIsNotEnough() {
    let point = SIMD2(3.0, 4.0)
    #expect(SimilarityTransform(from: [point, point], to: [point, .zero]) == nil)
    #expect(SimilarityTransform(factor: .zero, shift: point).inverse == nil)
  }

  private func length(_ v: SIMD2<Double>) -> Double { (v.x * v.x + v.y * v.y).squareRoot() }
}
