import Testing

@testable import Faces

@Suite struct FaceExtentTests {
  private func landmarks(_ points: [(Float, Float)]) -> FaceExtent? {
    FaceExtent(landmarks: points.map { SIMD2($0.0, $0.1) }, width: 100, height: 80)
  }

  @Test func aHullHasWhatLiesBetweenItsPoints() throws {
    let square = try #require(
      landmarks([(20, 20), (60, 20), (40, 40), (60, 60), (20, 60), (20, 40), (60, 60)]))
    #expect(
      square == .hull([SIMD2(20, 20), SIMD2(60, 20), SIMD2(60, 60), SIMD2(20, 60)]))
    for point in [SIMD2(20.0, 20), SIMD2(40, 40), SIMD2(59.9, 59.9), SIMD2(60, 33)] {
      #expect(square.contains(point))
    }
    for point in [SIMD2(19.9, 40.0), SIMD2(60.1, 40), SIMD2(40, 60.1), SIMD2(0, 0)] {
      #expect(!square.contains(point))
    }
  }

  @Test func landmarksOfNoFaceAreNotTaken() {
    let inside: [(Float, Float)] = [(20, 20), (60, 20), (60, 60), (20, 60)]
    #expect(landmarks([]) == nil)
    #expect(landmarks([(30, 30), (30, 30), (30, 30)]) == nil)
    // A line.
    #expect(landmarks((0..<68).map { (Float($0), Float($0)) }) == nil)
    #expect(landmarks(inside.map { ($0.0 + 200, $0.1) }) == nil)
    for bad in [Float.nan, .infinity, 1e30] { #expect(landmarks(inside + [(bad, 30)]) == nil) }
  }

  @Test func aBoxIsFoundWhereTheCropHasIt() throws {
    func ellipse(_ box: SIMD4<Float>?) throws -> (centre: SIMD2<Double>, radii: SIMD2<Double>) {
      guard
        case .ellipse(let centre, let radii) = FaceExtent(
          box: box, margin: 1.5, width: 90, height: 90)
      else { throw NoEllipse() }
      return (centre, radii)
    }
    func isNear(_ one: SIMD2<Double>, _ x: Double, _ y: Double) -> Bool {
      abs(one.x - x) < 1e-9 && abs(one.y - y) < 1e-9
    }
    // In the midst of its crop, as where nothing is known of it but the margin.
    let (middle, none) = (try ellipse(SIMD4(300, 200, 400, 300)), try ellipse(nil))
    for found in [middle, none] {
      #expect(isNear(found.centre, 44.5, 48.1) && isNear(found.radii, 28.8, 27.6))
    }
    // At the left border of its image, the crop begins there: the face lies at its left.
    let left = try ellipse(SIMD4(0, 200, 100, 300))
    #expect(isNear(left.centre, 29.5, 48.1) && isNear(left.radii, 28.8, 27.6))
    // Not square: as narrow as it is.
    #expect(isNear(try ellipse(SIMD4(300, 200, 350, 300)).radii, 14.4, 27.6))
  }

  private struct NoEllipse: Error {}

  @Test func aBoxThatCanNotBeIsNotTaken() {
    let usual = FaceExtent(margin: 1.3, width: 64, height: 64)
    for box in [
      SIMD4<Float>(10, 10, 10, 10), SIMD4(20, 20, 10, 10), SIMD4(.nan, 0, 1, 1),
      SIMD4(0, 0, .infinity, 1), SIMD4(0, 0, 100, 1), SIMD4(-900, -900, -800, -800),
    ] {
      #expect(FaceExtent(box: box, margin: 1.3, width: 64, height: 64) == usual, "\(box)")
    }
    // Of a crop of which nothing is known the box says nothing.
    #expect(
      FaceExtent(box: SIMD4(0, 0, 10, 20), margin: nil, width: 64, height: 64)
        == FaceExtent(margin: nil, width: 64, height: 64))
  }
}
