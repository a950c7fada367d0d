import Images
import Testing

@testable import Faces

@Suite struct DisplayMatrixTests {
  @Test func everyQuarterTurnAndMirrorIsTold() {
    let one: Int32 = 1 << 16
    let known: [((Int32, Int32, Int32, Int32), ExifOrientation)] = [
      ((one, 0, 0, one), .upright), ((-one, 0, 0, one), .mirrored),
      ((-one, 0, 0, -one), .upsideDown), ((one, 0, 0, -one), .flipped),
      ((0, one, one, 0), .transposed), ((0, one, -one, 0), .turnedRight),
      ((0, -one, -one, 0), .transversed), ((0, -one, one, 0), .turnedLeft),
    ]
    for (numbers, orientation) in known {
      let matrix = DisplayMatrix(numbers)
      #expect(matrix.orientation == orientation)
      #expect(matrix.isTurned == (numbers.0 == 0))
      #expect((matrix.words == nil) == (orientation == .upright))
    }
  }

  @Test(
    arguments: [
      [0, 0, 0, 0], [46341, 46341, -46341, 46341], [.min, .min, .min, .min], [65536, 65536, 0, 0],
    ] as [[Int32]])
  func whatIsNoneOfThemIsNotTurned(numbers: [Int32]) {
    let matrix = DisplayMatrix((numbers[0], numbers[1], numbers[2], numbers[3]))
    #expect(matrix.orientation == nil && !matrix.isTurned)
  }

  @Test func aScaleAndRoundingDontMatter() {
    #expect(DisplayMatrix((3, 131072, -131072, -2)).orientation == .turnedRight)
  }
}
