import Foundation
import Foundations
import Images
import TestSupport
import Testing

@testable import Faces

@Suite struct VideoReaderTests {
  private static func frames(
    _ path: BytePath, _ choice: FrameChoice = .all, skipping: VideoReader.Skipping = .never,
    threads: Int = 1
  ) throws -> VideoReading<VideoFrame> {
    let reader = try VideoReader(path: path, threads: threads)
    reader.skipping = skipping
    return try reader.read(choice) { $0 }
  }

  // MARK: Agreement with PyAV

  @Test(arguments: VideoGolden.all)
  func everyFrameIsPyAVs(golden: VideoGolden) throws {
    let reading = try Self.frames(golden.path)
    #expect(reading.frameCount == golden.blocks.count)
    #expect(reading.expectedCount == golden.blocks.count)
    #expect(reading.indices == Array(0..<golden.blocks.count))
    guard reading.frameCount == golden.blocks.count else { return }
    for (number, frame) in reading.results.enumerated() {
      #expect(frame.index == number && frame.ordinal == number)
      #expect(frame.image.width == golden.width && frame.image.height == golden.height)
      let difference = try #require(golden.difference(of: frame.image, at: number))
      #expect(difference <= 1, "frame \(number) differs by \(difference)")
      if let time = golden.times[number], golden.times.allSatisfy({ $0 != nil }) {
        #expect(abs((frame.time ?? .infinity) - time) < 1e-5, "frame \(number)")
      }
    }
    let whole = VideoGolden.difference(
      reading.results[golden.middle].image, try golden.middleFrame())
    if ProcessInfo.processInfo.environment["RFM_SHOW"] != nil { print(golden.file, whole) }
    #expect(whole <= 1, "the middle frame's values differ by \(whole)")
  }
}
