import Foundation
import TestSupport
import Testing

@testable import Images

@Suite struct DegradationTests {
  private struct Golden: Decodable {
    let degradation: String
    let pixels: Data
  }

  /// The same integers as `picture` in Tests/Oracle/degradations.py.
  static let picture: RGBImage = {
    var pixels: [UInt8] = []
    for y in 0..<29 {
      for x in 0..<37 {
        for c in 0..<3 {
          pixels.append(UInt8(abs((x * 5 + y * 3 + c * 40) % 200 - 100) + 100 + x * y % 7 * 8))
        }
      }
    }
    return RGBImage(width: 37, height: 29, pixels: pixels)
  }()

  /// The sample that the golden noise was drawn for.
  private static let sample = 1_234_567

  @Test func degradationsAreThoseOfPillowSciPyAndNumPy() throws {
    let golden: [Golden] = try ImageGolden.load("degraded.json")
    #expect(golden.count == 13)
    for expected in golden {
      let degradation = try #require(Degradation(expected.degradation))
      let image = try degradation.applied(to: Self.picture, sample: Self.sample)
      #expect(image != Self.picture && image.pixels.count == expected.pixels.count)
      let differences = zip(image.pixels, expected.pixels).map { abs(Int($0) - Int($1)) }
      let mean = Double(differences.reduce(0, +)) / Double(differences.count)
      switch degradation {
      case .jpeg:
        // Another release of libjpeg-turbo may round elsewhere; a wrong table, transform or
        // subsampling is off by far more.
        #expect(differences.max()! <= 3 && mean < 0.1, "\(degradation): \(mean) on average")
      case .resize:
        // Pillow 13 takes the columns first for some sizes, and rounds in between.
        #expect(differences.max()! <= 1 && mean < 0.1, "\(degradation): \(mean) on average")
      case .blur, .noise:
        #expect(differences.allSatisfy { $0 == 0 }, "\(degradation): \(mean) on average")
      }
    }
  }

  /// In float32, and before it is rounded.
  @Test(arguments: [0.5, 2, 20]) func aPlaneIsBlurredAsAPictureIs(sigma: Double) {
    let plane = stride(from: 0, to: Self.picture.pixels.count, by: 3).map {
      Float(Self.picture.pixels[$0])
    }
    let blurred = GaussianBlur(sigma: sigma).applied(to: plane, width: 37, height: 29)
    let picture = GaussianBlur(sigma: sigma).applied(to: Self.picture)
    #expect(blurred.count == plane.count && blurred != plane)
    for (i, value) in blurred.enumerated() {
      #expect(abs(value - Float(picture.pixels[3 * i])) < 0.5001)
    }
  }

  @Test func noiseBelongsToTheSampleAndScalesWithSigma() throws {
    let grey = RGBImage(
      width: 64, height: 64, pixels: [UInt8](repeating: 128, count: 64 * 64 * 3))
    func noise(_ sigma: Double, _ sample: Int) throws -> [Double] {
      try Degradation.noise(sigma: sigma).applied(to: grey, sample: sample).pixels.map {
        Double($0) - 128
      }
    }
    let first = try noise(10, 3)
    #expect(try noise(10, 3) == first)
    #expect(try noise(10, 4) != first)
    let variance = first.map { $0 * $0 }.reduce(0, +) / Double(first.count)
    #expect(abs(variance.squareRoot() - 10) < 0.3)
    #expect(abs(first.reduce(0, +) / Double(first.count)) < 0.3)
    #expect(zip(first, try noise(5, 3)).allSatisfy { abs($0 / 2 - $1) <= 0.75 })
  }

  @Test func whatHasNoDetailHasNoneToLose() throws {
    for (width, height) in [(1, 1), (2, 9), (16, 16)] {
      let flat = RGBImage(
        width: width, height: height,
        pixels: (0..<width * height).flatMap { _ in [40, 90, 200] as [UInt8] })
      for text in ["blur=0.5", "blur=20", "resize=0.5", "resize=0.01"] {
        let degradation = try #require(Degradation(text))
        #expect(try degradation.applied(to: flat, sample: 0) == flat, "\(text)")
      }
    }
  }

  @Test func aDegradationReadsBackFromItsName() {
    for degradation: Degradation in [
      .jpeg(quality: 50), .blur(sigma: 1.5), .noise(sigma: 5), .resize(scale: 0.75),
    ] {
      #expect(Degradation(degradation.description) == degradation)
    }
    for text in [
      "", "jpeg", "jpeg=", "jpeg=0", "jpeg=101", "jpeg=50.5", "blur=0", "blur=-1", "blur=nan",
      "noise=inf", "noise=256", "resize=1", "resize=0", "sharpen=2", "jpeg=50=60", "blur=1 ",
    ] {
      #expect(Degradation(text) == nil, "\(text)")
    }
  }
}
