import Foundation
import TestSupport
import Testing

@testable import FaceShards

@Suite struct SplitInspectionTests {
  private struct Row {
    var method: Int
    var source: String
    var path: String
    var shade: UInt8
  }

  private func write(_ path: String, _ rows: [Row]) throws {
    let writer = try ShardWriter(
      path: path, height: 8, width: 8, methodNames: ["real", "swap"], hasPaths: true)
    for row in rows {
      try writer.append(
        image: [UInt8](repeating: row.shade, count: 192), method: row.method, source: row.source,
        path: row.path)
    }
    try writer.finish()
  }

  private func inspect(_ train: [Row], _ test: [Row]) throws -> SplitInspection {
    let folder = TemporaryFolder()
    try write(folder("train-00000.h5"), train)
    try write(folder("test-00000.h5"), test)
    return try SplitInspection(
      SplitInspection.Member.all(from: [folder("train-00000.h5"), folder("test-00000.h5")]))
  }

  private let clean = [
    Row(method: 0, source: "000", path: "real/000/1.png", shade: 1),
    Row(method: 1, source: "000_003", path: "fake/swap/000_003/1.png", shade: 2),
  ]

  @Test func splitsThatAreApartAreFine() throws {
    let found = try inspect(
      clean,
      [
        Row(method: 0, source: "007", path: "real/007/1.png", shade: 3),
        Row(method: 1, source: "007_009", path: "fake/swap/007_009/1.png", shade: 4),
      ])
    #expect(found.problems.isEmpty)
    #expect(found.lines == ["4 images, 4 sources: test 2, train 2"])
  }

  @Test func aSourceOfTwoSplitsIsNamed() throws {
    let found = try inspect(
      clean, [Row(method: 1, source: "000", path: "fake/swap/000/1.png", shade: 3)])
    #expect(found.problems.count == 1)
    #expect(found.problems[0].hasPrefix("1 sources are in several splits: 000 (test: "))
    #expect(found.problems[0].contains("fake/swap/000/1.png"))
  }

  @Test(arguments: [
    ("003", "009_003", "003_009"), ("x", "003_009", "x"),
    ("id0_0000", "id1_id0_0002", "id1_0001"), ("01__a", "02_01__a__ABCDEFGH", "02__b"),
  ])
  func sourcesThatNamesTieAreNamed(real: String, fake: String, other: String) throws {
    let found = try inspect(
      [
        Row(method: 0, source: real, path: "real/\(real)/1.png", shade: 1),
        Row(method: 1, source: "009_003", path: "fake/swap/009_003/1.png", shade: 2),
        Row(method: 0, source: "\(other)", path: "real/\(other)/2.png", shade: 9),
      ],
      [
        Row(method: 1, source: fake == "009_003" ? "003_010" : fake, path: "f/m/v/1.png", shade: 3),
        Row(method: 1, source: "010_003", path: "f/m/w/1.png", shade: 4),
      ])
    #expect(found.problems.contains { $0.contains("show the same people by their names") })
  }

  @Test func imagesThatAreTheSameAreNamed() throws {
    let found = try inspect(
      clean,
      [
        Row(method: 0, source: "007", path: "real/007/1.png", shade: 1),
        Row(method: 1, source: "008", path: "fake/swap/008/1.png", shade: 5),
      ])
    #expect(found.problems.count == 1)
    #expect(found.problems[0].hasPrefix("1 images are the same as one of another split: "))
    #expect(
      found.problems[0].contains("train-00000.h5 row 0, real/000/1.png")
        && found.problems[0].contains("test-00000.h5 row 0, real/007/1.png"))
  }

  /// 1.png of train is as likely another picture than 1.png of test.
  @Test func namesOfImagesAreNoSources() throws {
    let found = try inspect(
      [Row(method: 0, source: "1", path: "train/real/1.png", shade: 1)],
      [Row(method: 0, source: "1", path: "test/real/1.png", shade: 2)])
    #expect(found.problems.isEmpty)
    #expect(found.lines.contains { $0.hasPrefix("1 sources of several splits are only names") })
    // A video is one.
    let videos = try inspect(
      [Row(method: 0, source: "000", path: "train/real/000.mp4", shade: 1)],
      [Row(method: 0, source: "000", path: "test/real/000.mp4", shade: 2)])
    #expect(videos.problems.count == 1)
  }

  @Test func splitsAreToldByNamesOrArguments() throws {
    let members = try SplitInspection.Member.all(
      from: ["d/train-00000.h5", "d/my-set-00012.h5", "test=d/x.h5"])
    #expect(members.map(\.split) == ["train", "my-set", "test"])
    #expect(members[2].path == "d/x.h5")
    for arguments in [["d/x.h5"], ["train-00000.h5", "train-00001.h5"], ["d/a=x.h5"], []] {
      #expect(throws: PackError.self) { try SplitInspection.Member.all(from: arguments) }
    }
  }
}
