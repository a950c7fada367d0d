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
    #expect(whole <= 1, "the middle frame's values differ by \(whole)")
  }

  @Test func whatIsComparedTellsWrongColoursTurnsAndFramesApart() throws {
    // The same pictures by another matrix, another range, turned otherwise, or a frame later.
    func golden(_ file: String) throws -> VideoGolden {
      try #require(VideoGolden.all.first { $0.file == file })
    }
    func difference(_ file: String, from other: String, shift: Int = 0) throws -> Double {
      let frames = try Self.frames(VideoGolden.path(file)).results
      let expected = try golden(other)
      return try #require(expected.difference(of: frames[1 + shift].image, at: 1))
    }
    #expect(try difference("h264.mp4", from: "h264.mp4") <= 1)
    #expect(try difference("h264-bt601.mp4", from: "h264-bt601.mp4") <= 1)
    // Nothing but the tag differs in what these hold.
    #expect(try difference("h264-bt601.mp4", from: "h264-as-bt709.mp4") > 3)
    #expect(try difference("h264-bt601.mp4", from: "h264-as-full-range.mp4") > 3)
    #expect(try difference("turned-90.mp4", from: "turned-270.mp4") > 20)
    #expect(try difference("turned-180.mp4", from: "mirrored.mp4") > 10)
    #expect(try difference("h264.mp4", from: "h264.mp4", shift: 1) > 3)
  }

  // MARK: Which frames

  @Test(arguments: VideoGolden.all)
  func skippingGivesTheSameFramesAsDecodingAll(golden: VideoGolden) throws {
    for count in [1, 2, 3, 5] {
      let all = try Self.frames(golden.path, .evenly(count))
      let skipping = try Self.frames(golden.path, .evenly(count), skipping: .wherePossible)
      #expect(!all.isSkipping)
      #expect(all.indices == FrameChoice.evenly(count).indices(of: golden.blocks.count))
      #expect(skipping.indices == all.indices)
      #expect(skipping.frameCount == all.frameCount)
      #expect(skipping.results.map(\.image) == all.results.map(\.image), "\(count) frames")
      #expect(skipping.results.map(\.time) == all.results.map(\.time))
    }
  }

  @Test(arguments: [
    ("h264.mp4", true), ("hevc.mp4", true), ("hevc-open-gop.mkv", true), ("vp9.webm", true),
    ("av1.mkv", true), ("mjpeg.mov", true), ("prores.mov", true), ("variable-rate.mkv", true),
    ("edit-list.mp4", true), ("h264.ts", true), ("mpeg2.ts", true),
    // No times, no key frame but the first that is sure to be one, a codec of which nothing is promised.
    ("h264.264", false), ("h264-open-gop.mkv", false), ("h264-refresh.mp4", false),
    ("without-times.mkv", false), ("mpeg4.avi", false), ("wmv.wmv", false),
  ])
  func framesAreSkippedWhereThatIsSure(file: String, isSkipped: Bool) throws {
    let reading = try Self.frames(
      VideoGolden.path(file), .evenly(2), skipping: .wherePossible)
    #expect(reading.isSkipping == isSkipped)
  }

  @Test func onlyChosenFramesAreHandedOver() throws {
    var seen: [Int] = []
    let reader = try VideoReader(path: VideoGolden.path("h264.mp4"))
    let reading = try reader.read(.evenly(4)) { frame in
      seen.append(frame.index)
      return frame.ordinal
    }
    #expect(seen == [0, 4, 8, 12])
    #expect(reading.results == [0, 1, 2, 3])
    #expect(try reader.read(.evenly(1)) { $0.index }.results == [0])
    #expect(try reader.read(.evenly(99)) { $0.index }.results == Array(0...12))
  }

  @Test(arguments: ["h264.mp4", "hevc-open-gop.mkv", "vp9.webm", "av1.mkv", "ffv1.mkv"])
  func threadsChangeNothing(file: String) throws {
    let one = try Self.frames(VideoGolden.path(file))
    let three = try Self.frames(VideoGolden.path(file), threads: 3)
    #expect(one.results.map(\.image) == three.results.map(\.image))
  }

  @Test func whatTheBodyThrowsEndsTheReading() throws {
    struct Enough: Error {}
    var count = 0
    let reader = try VideoReader(path: VideoGolden.path("h264.mp4"))
    #expect(throws: Enough.self) {
      try reader.read(.all) { _ in
        count += 1
        if count == 3 { throw Enough() }
      }
    }
    #expect(count == 3)
  }

  // MARK: What is told

  @Test func aVideoIsDescribed() throws {
    let info = try VideoReader(path: VideoGolden.path("h264-full-range.mp4")).info
    #expect(info.codec == "h264" && info.container.contains("mp4"))
    #expect((info.width, info.height) == (64, 48))
    #expect(info.declaredFrames == 13 && info.frameRate == 25)
    #expect(abs((info.duration ?? 0) - 0.52) < 1e-6)
    #expect(info.matrix == "bt709" && info.range == "pc" && info.transfer == nil)
    #expect(info.orientation == nil && info.pixelAspect == 1 && info.videoStreams == 1)
    #expect(!info.isHighDynamicRange)
    let turned = try VideoReader(path: VideoGolden.path("turned-90.mp4")).info
    #expect((turned.width, turned.height) == (48, 64))
    #expect(turned.orientation == "turned by 90°")
    let wide = try VideoReader(path: VideoGolden.path("hdr-hlg.mp4")).info
    #expect(wide.dynamicRange == .hybridLogGamma && wide.pixelFormat == "yuv420p10le")
  }

  @Test(arguments: [
    ("h264.mp4", ""), ("edit-list.mp4", ""), ("h264-fragments.mp4", ""), ("with-sound.mp4", ""),
    ("hdr-pq.mp4", "high dynamic range (PQ)"), ("hdr-hlg-444.mkv", "high dynamic range (HLG)"),
    ("two-streams.mkv", "2 video streams"), ("anamorphic.mp4", "pixels are 1.33 times as wide"),
  ])
  func whatTheUserShouldKnowIsNoted(file: String, note: String) throws {
    let notes = try Self.frames(VideoGolden.path(file)).notes
    #expect(notes.count == (note.isEmpty ? 0 : 1), "\(notes)")
    #expect(note.isEmpty || notes.contains { $0.contains(note) }, "\(notes)")
  }
}
