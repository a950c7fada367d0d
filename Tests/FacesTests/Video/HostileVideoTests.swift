import Foundation
import Foundations
import Images
import TestSupport
import Testing

@testable import Faces

/// Files that are no videos, that lead elsewhere, or that ask for more than is allowed.
@Suite struct HostileVideoTests {
  private static func refusal(
    _ path: BytePath, limits: VideoLimits = VideoLimits()
  ) throws -> VideoError {
    do {
      let reader = try VideoReader(path: path, limits: limits)
      let reading = try reader.read(.all) { $0.image.width }
      throw Accepted(frames: reading.frameCount)
    } catch let error as VideoError {
      #expect(error.description.hasPrefix("\(path): "))
      #expect(!error.description.contains("\n"))
      return error
    }
  }

  private struct Accepted: Error { let frames: Int }

  // MARK: Leading elsewhere

  /// Each of these makes the program ffmpeg read `real.mp4`, which stands beside it.
  @Test(arguments: ["list", "list.mp4", "list.m3u8", "list.sdp", "list.ffconcat", "list.mkv"])
  func nothingThatLeadsToAnotherFileIsFollowed(name: String) throws {
    let folder = TemporaryFolder()
    try folder.write("real.mp4", VideoGolden.bytes("h264.mp4"))
    try folder.write("frame-1.png", VideoGolden.bytes("vp9.webm.png"))
    let real = folder("real.mp4")
    let texts = [
      "ffconcat version 1.0\nfile real.mp4\n", "ffconcat version 1.0\nfile '\(real)'\n",
      "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:1\n#EXTINF:0.52,\n\(real)\n#EXT-X-ENDLIST\n",
      "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:0.52,\nhttp://127.0.0.1:9/x.ts\n#EXT-X-ENDLIST\n",
      """
      <?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"
       mediaPresentationDuration="PT0.5S" profiles="urn:mpeg:dash:profile:isoff-on-demand:2011"><Period>
      <AdaptationSet mimeType="video/mp4"><Representation id="1" bandwidth="1"><BaseURL>\(real)</BaseURL>
      </Representation></AdaptationSet></Period></MPD>
      """,
      "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n"
        + "a=rtpmap:96 H264/90000\n",
      "<?xml version=\"1.0\"?>\n<smil><body><video src=\"\(real)\"/></body></smil>",
      "[playlist]\nFile1=\(real)\nNumberOfEntries=1\n",
      "# VobSub index file, v7\nid: en, index: 0\ntimestamp: 00:00:00:001, filepos: 000000000\n",
    ]
    for text in texts {
      try folder.write(name, Array(text.utf8))
      let error = try Self.refusal(BytePath(folder(name)))
      #expect(error.reason == .notAVideo, "\(text.prefix(20)): \(error)")
    }
  }

  /// Addresses and options are names of files like others: those that are not there can't be opened.
  @Test(arguments: [
    "http://127.0.0.1:9/x.mp4", "concat:a.mp4|b.mp4", "pipe:0", "file:x.mp4", "data:,x", "-i", "-",
    "%03d.png", "subfile,,start,0,end,9,,:x.mp4", "crypto:x", "cache:x",
  ])
  func addressesAreNames(name: String) throws {
    let folder = TemporaryFolder()
    let missing = try Self.refusal(BytePath(folder.path).appending(Array(name.utf8)))
    #expect(missing.reason == .inputOutput && missing.exitStatus == .inputOutput)
    guard !name.contains("/") else { return }
    try FileManager.default.copyItem(
      atPath: VideoGolden.folder.path + "/h264.mp4", toPath: folder(name))
    let reader = try VideoReader(path: BytePath(folder(name)))
    #expect(try reader.read(.all) { $0.index }.frameCount == 13)
  }

  @Test func namesMayHoldAnyByte() throws {
    let folder = TemporaryFolder()
    for name in [Array("a:b.mp4".utf8), [0xFF, 0xFE, 0x0A, 0x1B, 0x5B], Array("ä 漢.mp4".utf8)] {
      let path = BytePath(folder.path).appending(name)
      let link = path.withCString { to in
        VideoGolden.path("h264.mp4").withCString { symlink($0, to) }
      }
      #expect(link == 0)
      let reader = try VideoReader(path: path)
      #expect(try reader.read(.evenly(2)) { $0.index }.results == [0, 12])
    }
    let missing = try Self.refusal(BytePath(folder.path).appending([0xFF, 0x0A, 0x1B]))
    #expect(missing.description.contains("\\xFF\\x0A\\x1B"))
  }

  // MARK: No videos

  @Test func whatIsNoVideoIsCalledByWhatItIs() throws {
    let folder = TemporaryFolder()
    func refusal(_ bytes: [UInt8]) throws -> VideoError {
      try folder.write("x.mp4", bytes)
      return try Self.refusal(BytePath(folder("x.mp4")))
    }
    #expect(try refusal([]).detail.contains("empty"))
    #expect(try refusal(Array("hello\n".utf8)).reason == .notAVideo)
    #expect(try refusal([UInt8](repeating: 0, count: 4096)).detail.contains("zeros"))
    #expect(
      try refusal(Array("<!DOCTYPE html><html></html>".utf8)).detail.contains("web page"))
    #expect(try refusal(VideoGolden.bytes("vp9.webm.png")).reason == .notAVideo)
    #expect(try refusal(ImageGolden.bytes("jpeg-420.jpg")).reason == .notAVideo)
    for sound in ["sound.m4a", "cover.m4a"] {
      let error = try refusal(VideoGolden.bytes(sound))
      #expect(error.reason == .notAVideo && error.detail.contains("sound recording"), "\(error)")
    }
    // As of a recording that was broken off: the index never came to be written.
    let cut = Array(try VideoGolden.bytes("h264.mp4").prefix(3000))
    let unfinished = try refusal(cut)
    #expect(unfinished.reason == .damaged && unfinished.detail.contains("moov"), "\(unfinished)")
  }

  @Test func onlyRegularFilesAreRead() throws {
    let folder = TemporaryFolder()
    #expect(mkfifo(folder("pipe.mp4"), 0o600) == 0)
    #expect(try Self.refusal(BytePath(folder("pipe.mp4"))).detail.contains("regular file"))
    #expect(try Self.refusal(BytePath(folder.path)).detail.contains("folder"))
    #expect(try Self.refusal(BytePath("/dev/zero")).detail.contains("regular file"))
    #expect(try Self.refusal(BytePath(folder("none.mp4"))).exitStatus == .inputOutput)
  }

  // MARK: Too much

  @Test func limitsHold() throws {
    var limits = VideoLimits()
    limits.maximumPixels = 64 * 48 - 1
    for file in ["h264.mp4", "vp9.webm", "mjpeg.mov", "mpeg2.ts", "h264.264"] {
      #expect(
        try Self.refusal(VideoGolden.path(file), limits: limits).reason == .tooLarge, "\(file)")
    }
    limits = VideoLimits()
    limits.maximumFrames = 12
    #expect(try Self.refusal(VideoGolden.path("h264.mp4"), limits: limits).reason == .tooLarge)
    limits.maximumFrames = 13
    let reader = try VideoReader(path: VideoGolden.path("h264.mp4"), limits: limits)
    #expect(try reader.read(.all) { $0.index }.frameCount == 13)
    limits = VideoLimits()
    limits.secondsWithoutProgress = 0
    #expect(try Self.refusal(VideoGolden.path("h264.mp4"), limits: limits).reason == .stalled)
  }

  @Test func aPictureThatUnpacksToGigabytesIsRefused() throws {
    let folder = TemporaryFolder()
    // GIFs of 65535×65535 and 16384×16384, in 10 KB.
    for side: UInt8 in [0xFF, 0x40] {
      var bytes = try VideoGolden.bytes("animation.gif")
      bytes.replaceSubrange(6..<10, with: [side, side, side, side])
      try folder.write("bomb.gif", bytes)
      let error = try Self.refusal(BytePath(folder("bomb.gif")))
      #expect(error.reason == .tooLarge, "\(error)")
    }
  }

  @Test func aFileThatGrowsEndsWhereItDid() throws {
    let folder = TemporaryFolder()
    let bytes = try VideoGolden.bytes("mpeg2.ts")
    try folder.write("growing.ts", bytes)
    let reader = try VideoReader(path: BytePath(folder("growing.ts")))
    let file = try FileHandle(forWritingTo: URL(filePath: folder("growing.ts")))
    try file.seekToEnd()
    let reading = try reader.read(.all) { frame in
      try file.write(contentsOf: bytes)
      return frame.index
    }
    #expect(reading.frameCount == 13)
  }

  @Test func readingStopsWhenAsked() throws {
    final class Flag { var isSet = false }
    let flag = Flag()
    let reader = try VideoReader(path: VideoGolden.path("h264.mp4"), isCancelled: { flag.isSet })
    var count = 0
    do {
      _ = try reader.read(.all) { _ in
        count += 1
        flag.isSet = count == 3
      }
      Issue.record("reading went on")
    } catch let error as VideoError {
      #expect(error.reason == .cancelled && error.exitStatus == .stopped)
    }
    #expect(count == 3)
  }
}
