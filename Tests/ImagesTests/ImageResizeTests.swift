import TestSupport
import Testing

@testable import Images

@Suite struct ImageResizeTests {
  @Test func resizingIsPillowsGreyLevelForGreyLevel() throws {
    let golden: [ImageGolden.Resized] = try ImageGolden.load("resized.json")
    #expect(golden.count == 14)
    for expected in golden {
      let source = KnownImage.pattern(width: expected.source[0], height: expected.source[1])
      let image = ImageResize.bilinear(source, width: expected.width, height: expected.height)
      let differences = zip(image.pixels, expected.pixels).map { abs(Int($0) - Int($1)) }
      #expect(differences.count == expected.pixels.count)
      // Where a tall image is widened or an image shrinks most in height, Pillow 13 takes the
      // columns first and rounds in between at another place.
      let columnsFirst = [[2, 301], [20, 101], [60, 50], [2, 30]].contains(expected.source)
      let largest = differences.max()!
      #expect(largest <= (columnsFirst ? 1 : 0), "\(expected.source): off by \(largest)")
    }
  }

  @Test func aUniformImageStaysUniformAtAnySize() {
    for level: UInt8 in [0, 1, 127, 254, 255] {
      let image = RGBImage(
        width: 19, height: 31, pixels: [UInt8](repeating: level, count: 19 * 31 * 3))
      for side in [1, 2, 7, 19, 64] {
        let resized = ImageResize.bilinear(image, width: side, height: side + 1)
        #expect(resized.pixels.allSatisfy { $0 == level })
      }
    }
  }

  @Test func theCentreSquareCutsBothSidesEqually() {
    let image = KnownImage.pattern(width: 9, height: 4)
    let square = image.centreSquare()
    #expect(square.width == 4 && square.height == 4)
    #expect(Array(square.pixels[..<12]) == Array(image.pixels[6..<18]))
    #expect(
      KnownImage.pattern(width: 5, height: 5).centreSquare()
        == KnownImage.pattern(width: 5, height: 5))
  }
}
