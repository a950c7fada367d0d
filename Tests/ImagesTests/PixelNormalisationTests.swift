import TestSupport
import Testing

@testable import Images

@Suite struct PixelNormalisationTests {
  private let colours = PixelNormalisation(
    mean: .init(red: 0.485, green: 0.456, blue: 0.406),
    std: .init(red: 0.229, green: 0.224, blue: 0.225))

  /// In float32 and in the order of the formula, as PyTorch's transforms do it channel by channel.
  @Test(arguments: [false, true]) func eachChannelHasItsOwnMeanAndDeviation(isFlipped: Bool) {
    let (height, width, side) = (9, 7, 4)
    let image = KnownImage.pixels(3, height: height, width: width)
    let (mean, std): ([Float], [Float]) = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    let geometry = CropGeometry(top: 2, left: 3, side: side, isFlipped: isFlipped)
    var out = [Float](repeating: .nan, count: side * side * 3)
    image.withUnsafeBufferPointer { image in
      out.withUnsafeMutableBufferPointer {
        colours.cut(geometry, of: image, width: width, into: $0)
      }
    }
    for y in 0..<side {
      for x in 0..<side {
        for c in 0..<3 {
          let column = 3 + (isFlipped ? side - 1 - x : x)
          let value = image[((2 + y) * width + column) * 3 + c]
          let expected = (Float(value) / 255 - mean[c]) / std[c]
          #expect(out[(y * side + x) * 3 + c] == expected)
          #expect(colours[value, channel: c] == expected)
        }
      }
    }
  }

  @Test func levelsAreTheInverse() {
    for value in UInt8.min...UInt8.max {
      for c in 0..<3 {
        #expect(colours.level(of: colours[value, channel: c], channel: c).rounded() == Float(value))
      }
    }
  }

  @Test func textsAreReadAsOneNumberOrThree() {
    #expect(ChannelValues(parsing: "0.5") == 0.5)
    #expect(ChannelValues(parsing: "0.485,0.456, 0.406")?.all == [0.485, 0.456, 0.406])
    #expect(ChannelValues(parsing: "0.5,0.5,0.5") == 0.5)
    for text in ["", ",", "1,2", "1,2,3,4", "a", "0x10", "nan", "inf", "1,,2", "1e999", " ", "1 2"]
    {
      #expect(ChannelValues(parsing: text) == nil, "\(text)")
    }
    #expect("\(ChannelValues(0.25))" == "0.25")
    #expect("\(ChannelValues(red: 1, green: 2, blue: 3))" == "1.0,2.0,3.0")
  }
}
