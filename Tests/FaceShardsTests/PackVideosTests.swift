import Faces
import Foundation
import Foundations
import Images
import TestSupport
import Testing

@testable import FaceShards

/// `pack` on videos. The golden ones are of one procedural face that moves, real and forged, with the mask
/// of what was forged: 12 frames of 192×192 in H.264 (Tests/Oracle/face_videos.sh).
@Suite struct PackVideosTests {
  let input = TemporaryFolder()
  let output = TemporaryFolder()

  private static func golden(_ name: String) throws -> [UInt8] {
    let folder = Bundle.module.resourceURL!.appendingPathComponent("Golden/Videos")
    return Array(try Data(contentsOf: folder.appendingPathComponent(name)))
  }

  /// Six real videos and six forged ones, which are all the same, and masks of the latter.
  private func videos() throws -> PackSettings {
    for video in 0..<6 {
      try input.write("in/real/a\(video).mp4", Self.golden("real.mp4"))
      try input.write("in/fake/swap/b\(video).mp4", Self.golden("fake.mp4"))
      try input.write("masks/swap/b\(video).mp4", Self.golden("mask.mp4"))
    }
    var settings = PackSettings(input: input("in"), output: output("shards"))
    settings.size = 64
    settings.framesPerVideo = 5
    settings.threads = 2
    settings.split = try SplitShares(parsing: "train=0.5,test=0.5")
    return settings
  }

  private func shards(_ report: PackReport) throws -> [Shard] {
    try report.splits.flatMap(\.shards).map { try Shard(reading: $0) }
  }

  private func image(_ shard: Shard, _ row: Int) throws -> [UInt8] {
    var pixels = [UInt8](repeating: 0, count: shard.imageSize)
    try pixels.withUnsafeMutableBufferPointer { try shard.readImage(row, into: $0) }
    return pixels
  }

  /// What a shard holds of a video is what the room `Faces` finds in its frames.
  @Test func facesOfVideosArePackedWithFrameBoxAndMask() throws {
    var settings = try videos()
    settings.masks = input("masks")
    var lines: [String] = []
    let report = try Packer.pack(settings, announce: { lines.append($0) })
    #expect(lines.first?.hasPrefix("12 videos: at most 60 faces, at most ") == true, "\(lines)")
    #expect(report.skipped.isEmpty && report.files == 12)
    #expect(report.splits.map(\.counts) == [[15, 15], [15, 15]])

    let cropper = try FaceCropper(FaceCropSettings(size: 64))
    func faces(_ name: String) throws -> [(frame: Int, face: CroppedFace)] {
      var track = FaceTrack()
      let reading = try VideoReader(path: BytePath(input("in/" + name))).read(.evenly(5)) {
        try cropper.face(in: $0.image, track: &track)
      }
      return zip(reading.indices, reading.results).map { ($0, $1!) }
    }
    let expected = [
      "real/a0.mp4": try faces("real/a0.mp4"), "fake/swap/b0.mp4": try faces("fake/swap/b0.mp4"),
    ]
    #expect(expected["real/a0.mp4"]!.map(\.frame) == [0, 2, 5, 8, 11])
    for shard in try shards(report) {
      #expect(shard.preprocessing == (try cropper.preprocessing.json.line()))
      let (frames, boxes) = (
        try #require(try shard.readFrames()), try #require(try shard.readBoxes())
      )
      let (paths, sources) = (
        try #require(try shard.readPaths()), try #require(try shard.readSources())
      )
      for row in 0..<shard.count {
        let isFake = shard.labels[row] == 1
        let (frame, face) = expected[isFake ? "fake/swap/b0.mp4" : "real/a0.mp4"]![row % 5]
        #expect(Int(frames[row]) == frame, "frames of a video stay in order")
        #expect(Array(boxes[4 * row..<4 * row + 4]) == face.box.corners)
        #expect(try image(shard, row) == face.image.pixels)
        #expect(paths[row].hasSuffix("\(sources[row]).mp4"))
        var mask = [UInt8](repeating: 1, count: 64 * 64)
        try mask.withUnsafeMutableBufferPointer { try shard.readMask(row, into: $0) }
        #expect(mask.contains(255) == isFake && mask.allSatisfy { $0 == 0 || $0 == 255 })
      }
    }
  }

  @Test func ranksThreadsAndEndsChangeNothing() throws {
    let settings = try videos()
    _ = try Packer.pack(settings)
    func files(_ folder: String) throws -> [String: Data] {
      var all: [String: Data] = [:]
      for name in try FileManager.default.contentsOfDirectory(atPath: folder) {
        all[name] = try Data(contentsOf: URL(fileURLWithPath: folder + "/" + name))
      }
      return all
    }
    let expected = try files(settings.output)
    for (ranks, threads) in [(2, 1), (3, 2)] {
      var other = settings
      other.output = output("shards-\(ranks)")
      other.threads = threads
      let chosen = other
      for result in PackerTests.ThreadRanks(size: ranks).run({ try Packer.pack(chosen, ranks: $0) })
      {
        _ = try result.get()
      }
      #expect(try files(chosen.output) == expected)
    }
  }

  @Test func whatGivesNoFaceIsNamedAndCounted() throws {
    let settings = try videos()
    let real = try Self.golden("real.mp4")
    try input.write("in/real/none.mp4", Self.golden("mask.mp4"))
    try input.write("in/real/cut.mp4", Array(real[..<(real.count / 2)]))
    try input.write("in/real/text.mp4", Array("no video at all".utf8))
    let report = try Packer.pack(settings)
    #expect(report.skipped.map(\.path) == ["real/cut.mp4", "real/none.mp4", "real/text.mp4"])
    #expect(report.skipped[1].reason == "no face found in any of 5 frames")
    #expect(report.remarks.last == "3 of 15 files give no face and are not packed")
  }

  /// A mask of another film would mark the wrong pixels.
  @Test func aMaskOfAnotherLengthOrSizeIsRefused() throws {
    var settings = try videos()
    settings.masks = input("masks")
    try input.write("masks/swap/b2.mp4", Self.golden("short-mask.mp4"))
    let report = try Packer.pack(settings)
    #expect(report.skipped.map(\.path) == ["fake/swap/b2.mp4"])
    #expect(report.skipped[0].reason.contains("it has 12 frames, its mask"))
    #expect(report.skipped[0].reason.hasSuffix("they don't belong together"))
  }

  @Test func imagesAndVideosTogetherMustBeSaid() throws {
    var settings = try videos()
    let frame = try VideoReader(path: BytePath(input("in/real/a0.mp4"))).read(.evenly(1)) {
      $0.image
    }.results[0]
    try input.write("in/real/photo.png", PNGCodec.encode(frame))
    let error = try #require(throws: PackError.self) { try Packer.pack(settings) }
    #expect(error.exitStatus == .usage && error.description.contains("--faces"))
    #expect(!FileManager.default.fileExists(atPath: settings.output))
    for faces in FaceHandling.allCases {
      settings.faces = faces
      settings.output = output("\(faces)")
      let report = try Packer.pack(settings)
      #expect(report.splits.flatMap(\.counts).reduce(0, +) == 61)
      for shard in try shards(report) {
        #expect((shard.preprocessing != nil) == (faces == .detect))
        let paths = try #require(try shard.readPaths())
        guard let row = paths.firstIndex(of: "real/photo.png") else { continue }
        #expect(try shard.readFrames()?[row] == FaceOrigin.noFrame)
        let whole = ImageResize.bilinear(frame, width: 64, height: 64).pixels
        #expect((try image(shard, row) == whole) == (faces == .keep))
      }
    }
  }

  /// Shards of two kinds of crops are no data set, and no detector is applied to the other kind.
  @Test func shardsThatWereCutOutOtherwiseAreRefused() throws {
    var settings = try videos()
    let first = try Packer.pack(settings)
    settings.crop.margin = 1.5
    settings.output = output("wider")
    let second = try Packer.pack(settings)
    let paths = first.splits[0].shards + second.splits[0].shards
    let error = try #require(throws: ShardError.self) { try ShardSet(paths: paths) }
    #expect(error.reason.contains("cut out otherwise") && error.reason.contains("1.5"))
    let sets = try [first, second].map { try ShardSet(paths: $0.splits[0].shards) }
    #expect(throws: ShardPreprocessing.Mismatch.self) {
      try sets[1].check(preprocessing: sets[0].preprocessing, of: "it")
    }
    #expect(try sets[0].check(preprocessing: sets[0].preprocessing, of: "it") == nil)
    #expect(try sets[0].check(preprocessing: nil, of: "it")?.contains("does not say") == true)
    // The program's version is no difference.
    let text = try #require(sets[0].preprocessing?.text)
    #expect(
      ShardPreprocessing(text.replacing("19.24", with: "19.31")) == sets[0].preprocessing)
  }
}
