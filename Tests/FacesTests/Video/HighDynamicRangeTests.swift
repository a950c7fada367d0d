import Foundation
import Testing

@testable import Faces

/// The pictures are compared with a script of its own in `VideoReaderTests` (hdr-*).
@Suite struct HighDynamicRangeTests {
  /// ITU-R BT.2408-7, table 1: levels of signals, with the light of a display of 1000 cd/m².
  @Test(arguments: [(0.58, 203.0), (0.38, 26.0), (0.44, 50.0)])
  func pqIsTheStandards(signal: Double, light: Double) {
    // The table's signals are rounded to a hundredth.
    #expect(abs(HighDynamicRange.pq(ofLight: light) - signal) < 0.006)
    #expect(
      abs(HighDynamicRange.pq(toLight: HighDynamicRange.pq(ofLight: light)) / light - 1) < 1e-9)
  }

  @Test(arguments: [(0.75, 203.0), (0.38, 26.0), (1.0, 1000.0)])
  func hlgIsTheStandards(signal: Double, light: Double) {
    let scene = HighDynamicRange.hlg(toScene: signal)
    // Of grey the luminance is the value itself: F = 1000 · E^1.2.
    #expect(abs(1000 * pow(scene, 1.2) / light - 1) < 0.03)
  }

  @Test func toneMappingKeepsDarkLightAndEndsAtWhite() {
    #expect(HighDynamicRange.mapped(1) == 1)
    #expect(HighDynamicRange.mapped(50) == 50)
    #expect(abs(HighDynamicRange.mapped(1000) - 203) < 0.01)
    #expect(abs(HighDynamicRange.mapped(4000) - 203) < 0.01)
    var previous = 0.0
    for light in stride(from: 1.0, through: 1000, by: 1) {
      let mapped = HighDynamicRange.mapped(light)
      #expect(mapped > previous && mapped <= light + 1e-9)
      previous = mapped
    }
  }

  @Test func greyStaysGreyAndTheEndsAreTheEnds() {
    for converter in [HighDynamicRange.perceptualQuantizer, .hybridLogGamma] {
      var last = 0
      for value in stride(from: 0, through: 65535, by: 257) {
        let pixel = converter.standard(Array(repeating: UInt16(value), count: 3), isWide: true)
        #expect(Int(pixel.max()!) - Int(pixel.min()!) <= 1, "\(value): \(pixel)")
        #expect(Int(pixel[0]) >= last)
        last = Int(pixel[0])
      }
      #expect(converter.standard([0, 0, 0], isWide: true) == [0, 0, 0])
      #expect(converter.standard([65535, 65535, 65535], isWide: true) == [255, 255, 255])
    }
  }
}
