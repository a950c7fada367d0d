import Foundation
import Foundations
import Images
import TestSupport
import Testing

@testable import Faces

/// Videos of which a part is missing or wrong. Whatever comes of them, it is frames that are whole, or
/// one line that names the file.
@Suite struct DamagedVideoTests {
  /// Reads all frames of a file's content; nil if it is refused, which is checked.
  private static func read(
    _ bytes: [UInt8], in folder: TemporaryFolder, threads: Int = 1
  ) throws -> VideoReading<VideoFrame>? {
    try folder.write("video", bytes)
    do {
      let reader = try VideoReader(path: BytePath(folder("video")), threads: threads)
      return try reader.read(.all) { $0 }
    } catch let error as VideoError {
      #expect(error.description.hasPrefix(folder("video") + ": "))
      #expect(!error.description.contains("\n"))
      #expect(error.exitStatus == .badData, "\(error)")
      return nil
    }
  }

  @Test(arguments: [
    "h264.mp4", "h264-fragments.mp4", "h264-open-gop.mkv", "hevc.mp4", "vp9.webm", "av1.mkv",
    "mpeg2.ts",
    "h264.ts", "h264.flv", "mpeg4.avi", "mjpeg.mov", "prores.mov", "ffv1.mkv", "wmv.wmv",
    "theora.ogv",
    "animation.gif", "h264.264",
  ])
  func ofAFileCutShortAnywhereWhatDecodesIsUsed(file: String) throws {
    let folder = TemporaryFolder()
    let whole = try VideoGolden.bytes(file)
    let frames = try #require(try Self.read(whole, in: folder)).results.map(\.image)
    var counts: [Int] = []
    for part in 0..<24 {
      let reading = try Self.read(Array(whole[..<(whole.count * part / 24)]), in: folder)
      counts.append(reading?.frameCount ?? 0)
      guard let reading else { continue }
      // The last one may be made of what there was: not every codec knows where a picture ends.
      for frame in reading.results.dropLast() {
        #expect(frame.image == frames[frame.index], "\(part)/24, frame \(frame.index)")
      }
      #expect(reading.frameCount <= frames.count)
    }
    #expect(counts[0] == 0)
    // Where the index stands at the end, nothing is there without it.
    #expect(counts[23] > 0 || ["h264.mp4", "hevc.mp4", "mjpeg.mov", "prores.mov"].contains(file))
  }

  @Test func aDamagedTailIsNamed() throws {
    let folder = TemporaryFolder()
    let whole = try VideoGolden.bytes("h264-fragments.mp4")
    let reading = try #require(
      try Self.read(Array(whole[..<(whole.count * 3 / 5)]), in: folder))
    #expect((1..<13).contains(reading.frameCount))
    #expect(reading.notes.count == 1, "\(reading.notes)")
  }

  /// A hole in the data of frames in the middle: they, and what is made of them, are left out.
  @Test func framesWithADamagedPartAreLeftOutAndCounted() throws {
    let folder = TemporaryFolder()
    var bytes = try VideoGolden.bytes("h264.mp4")
    let frames = try #require(try Self.read(bytes, in: folder)).results.map(\.image)
    let data = try #require(
      (0..<bytes.count - 4).first { bytes[$0..<$0 + 4].elementsEqual("mdat".utf8) })
    for place in data + 2400..<data + 2600 { bytes[place] = UInt8(truncatingIfNeeded: place * 37) }
    let reading = try #require(try Self.read(bytes, in: folder))
    #expect((5..<13).contains(reading.frameCount), "\(reading.frameCount)")
    #expect(reading.expectedCount == 13)
    #expect(
      reading.notes.contains { $0.hasPrefix("\(reading.frameCount) of 13 frames decode") },
      "\(reading.notes)")
    #expect(reading.results.allSatisfy { frame in frames.contains(frame.image) })
    // The choice is made among those that decode, whatever way is tried first.
    for skipping in [VideoReader.Skipping.never, .wherePossible] {
      let reader = try VideoReader(path: BytePath(folder("video")))
      reader.skipping = skipping
      var starts = 0
      let chosen = try reader.read(.evenly(4)) { frame in
        starts += frame.ordinal == 0 ? 1 : 0
        return frame.image
      }
      #expect(!chosen.isSkipping)
      // Once skipping, if that is tried; once whole, to learn which frames decode; once to take them.
      #expect(starts == (skipping == .never ? 2 : 3))
      #expect(chosen.indices == FrameChoice.evenly(4).indices(of: reading.frameCount))
      #expect(chosen.results == chosen.indices.map { reading.results[$0].image })
    }
  }

  /// xorshift, for the same draws on every run.
  private struct Draws: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
      state ^= state << 13
      state ^= state >> 7
      state ^= state << 17
      return state
    }
  }

  @Test(arguments: [
    "h264.mp4", "hevc.mp4", "vp9.webm", "vp8.webm", "av1.mkv", "mpeg2.ts", "mpeg2.mpg", "h264.flv",
    "mpeg4.avi", "mjpeg.mov", "prores.mov", "ffv1.mkv", "wmv.wmv", "theora.ogv", "animation.gif",
    "edit-list.mp4", "h264-fragments.mp4", "hdr-hlg.mp4",
  ])
  func anyBytesMayBeWrong(file: String) throws {
    let folder = TemporaryFolder()
    let whole = try VideoGolden.bytes(file)
    var draws = Draws(state: 0x9E37_79B9_7F4A_7C15)
    for round in 0..<24 {
      var bytes = whole
      // Headers, which are at both ends, and everywhere.
      let range =
        round % 3 == 0
        ? 0..<min(600, bytes.count)
        : round % 3 == 1 ? max(0, bytes.count - 1200)..<bytes.count : 0..<bytes.count
      for _ in 0..<Int.random(in: 1...20, using: &draws) {
        bytes[Int.random(in: range, using: &draws)] = UInt8.random(in: 0...255, using: &draws)
      }
      if let reading = try Self.read(bytes, in: folder) {
        #expect(reading.frameCount > 0 && reading.results.count == reading.frameCount)
      }
    }
  }
}
