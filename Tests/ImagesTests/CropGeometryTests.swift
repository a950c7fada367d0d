import TestSupport
import Testing

@testable import Images

@Suite struct CropGeometryTests {
  @Test func centreCropsLieInTheMiddle() {
    #expect(
      CropGeometry.centre(height: 256, width: 300, side: 224)
        == CropGeometry(top: 16, left: 38, side: 224))
    #expect(
      CropGeometry.centre(height: 9, width: 8, side: 8) == CropGeometry(top: 0, left: 0, side: 8))
  }

  @Test func randomCropsLieInsideCoverEveryPlaceAndFlipHalf() {
    var places: [CropGeometry: Int] = [:]
    let n = 8000
    for sample in 0..<n {
      let crop = CropGeometry.random(
        height: 8, width: 11, side: 8, flips: true, seed: 2, visit: 3, sample: sample)
      #expect(crop.top == 0 && (0...3).contains(crop.left))
      places[crop, default: 0] += 1
    }
    #expect(places.count == 8)
    for (_, count) in places { #expect(abs(count - n / 8) < 160) }
    let whole = CropGeometry.random(
      height: 8, width: 8, side: 8, flips: false, seed: 2, visit: 0, sample: 1)
    #expect(whole == CropGeometry(top: 0, left: 0, side: 8))
  }

  @Test func flipsCanBeTurnedOffWithoutMovingCrops() {
    for sample in 0..<50 {
      func crop(_ flips: Bool) -> CropGeometry {
        .random(height: 20, width: 30, side: 8, flips: flips, seed: 1, visit: 0, sample: sample)
      }
      #expect(!crop(false).isFlipped)
      #expect(crop(true).top == crop(false).top && crop(true).left == crop(false).left)
    }
  }

  @Test(arguments: [false, true]) func cutIsTheNormalisedPartOfTheImage(isFlipped: Bool) {
    let (height, width, side) = (9, 7, 4)
    let image = KnownImage.pixels(3, height: height, width: width)
    let normalisation = PixelNormalisation(mean: 0.5, std: 0.25)
    for top in 0...5 {
      for left in 0...3 {
        let geometry = CropGeometry(top: top, left: left, side: side, isFlipped: isFlipped)
        var out = [Float](repeating: .nan, count: side * side * 3)
        image.withUnsafeBufferPointer { image in
          out.withUnsafeMutableBufferPointer {
            normalisation.cut(geometry, of: image, width: width, into: $0)
          }
        }
        for y in 0..<side {
          for x in 0..<side {
            for c in 0..<3 {
              let column = left + (isFlipped ? side - 1 - x : x)
              let value = image[((top + y) * width + column) * 3 + c]
              #expect(out[(y * side + x) * 3 + c] == (Float(value) / 255 - 0.5) / 0.25)
            }
          }
        }
        // The mask moves with the image.
        let plane = (0..<height * width).map { image[$0 * 3] }
        var mask = [UInt8](repeating: 0, count: side * side)
        plane.withUnsafeBufferPointer { plane in
          mask.withUnsafeMutableBufferPointer { geometry.cut(plane: plane, width: width, into: $0) }
        }
        #expect(mask.indices.allSatisfy { out[$0 * 3] == normalisation[mask[$0], channel: 0] })
      }
    }
  }
}
