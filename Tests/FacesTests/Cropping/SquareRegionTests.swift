import Images
import TestSupport
import Testing

@testable import Faces

@Suite struct SquareRegionTests {
  @Test func theSquareLiesInTheImageAroundTheBox() throws {
    var draws = SeededDraws(seed: 5)
    func draw(_ range: ClosedRange<Int>) -> Int { Int.random(in: range, using: &draws) }
    for _ in 0..<2000 {
      let (width, height) = (draw(1...300), draw(1...300))
      let (left, top) = (draw(-100...300), draw(-100...300))
      let side = draw(1...200)
      let box = FaceBox([left, top, left + side - 1, top + side - 1].map { Float($0) })
      let margin = Double(draw(5...40)) / 10
      guard
        let region = SquareRegion(around: box, margin: margin, width: width, height: height)
      else { continue }
      #expect(region.left >= 0 && region.top >= 0 && region.side > 0)
      #expect(region.left + region.side <= width && region.top + region.side <= height)
      let wanted = Int(Double(side - 1) * margin)
      #expect(region.side <= wanted)
      if region.side == wanted && region.left > 0 && region.top > 0 {
        // Around the centre of the box, to a pixel.
        #expect(abs(2 * region.left + region.side - (2 * left + side)) <= 2)
        #expect(abs(2 * region.top + region.side - (2 * top + side)) <= 2)
      }
    }
  }

  @Test func whatCannotBeCutIsNil() {
    func region(_ corners: [Float]) -> SquareRegion? {
      SquareRegion(around: FaceBox(corners), margin: 1.3, width: 50, height: 40)
    }
    #expect(region([5, 5, 5, 5]) == nil)
    #expect(region([100, 5, 140, 45]) == nil)
    #expect(region([.nan, 5, 20, 20]) == nil)
    #expect(region([.infinity, 5, .infinity, 20]) == nil)
    #expect(region([-1e30, 5, 1e30, 20]) == nil)
    #expect(region([-30, -30, 10, 10]) != nil)
  }

  /// A part of a larger image has the same crops, at the same place of the part.
  @Test func aShiftedSceneHasTheSameCrop() throws {
    let image = KnownImage.pattern(width: 90, height: 80)
    let part = image.cropped(left: 7, top: 11, width: 80, height: 65)
    let box = FaceBox([40, 40, 63, 62])
    let shifted = FaceBox([33, 29, 56, 51])
    let whole = try #require(SquareRegion(around: box, margin: 1.3, width: 90, height: 80))
    let cut = try #require(SquareRegion(around: shifted, margin: 1.3, width: 80, height: 65))
    #expect(whole.cut(image, size: 24) == cut.cut(part, size: 24))
    #expect(whole.place(SIMD2(50, 45), size: 24) == cut.place(SIMD2(43, 34), size: 24))
  }

  /// Where no half pixel has to be rounded away: an even sum of left and right, an odd side.
  @Test func aMirroredSceneHasTheMirroredCrop() throws {
    let image = KnownImage.pattern(width: 90, height: 80)
    let mirrored = image.mirrored
    let box = FaceBox([40, 41, 62, 63])
    let other = FaceBox([89 - 62, 41, 89 - 40, 63])
    let first = try #require(SquareRegion(around: box, margin: 1.25, width: 90, height: 80))
    let second = try #require(SquareRegion(around: other, margin: 1.25, width: 90, height: 80))
    #expect(first.side == 27)
    let (left, right) = (first.cut(image, size: 18).mirrored, second.cut(mirrored, size: 18))
    let worst = zip(left.pixels, right.pixels).map { abs(Int($0) - Int($1)) }.max()!
    #expect(worst <= 1)
  }
}

extension RGBImage {
  var mirrored: RGBImage {
    var pixels: [UInt8] = []
    for y in 0..<height {
      for x in (0..<width).reversed() {
        pixels += self.pixels[(y * width + x) * 3..<(y * width + x) * 3 + 3]
      }
    }
    return RGBImage(width: width, height: height, pixels: pixels)
  }
}
