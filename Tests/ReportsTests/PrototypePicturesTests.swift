import Foundation
import Testing

@testable import Images
@testable import Reports

@Suite struct PrototypePicturesTests {
  /// A folder that is gone when the test ends.
  private func withFolder(_ body: (String) throws -> Void) throws {
    let folder = NSTemporaryDirectory() + "rfm-pictures-" + UUID().uuidString
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    try body(folder)
  }

  @Test func prototypesAreWrittenOneAMethodAndAllInOneAndNamedOnAPage() throws {
    let side = 28
    var maps: [Float] = []
    for method in 0..<3 {
      for y in 0..<side {
        for x in 0..<side {
          let (dx, dy) = (Float(x - 8 - 5 * method), Float(y - 14))
          maps.append(exp(-(dx * dx + dy * dy) / 40))
        }
      }
    }
    try withFolder { folder in
      let paths = try PrototypePictures.write(
        prototypes: maps, methods: ["swap", "a/<b>", "never"], counts: [100, 1, 0], width: side,
        height: side, beside: folder + "/p #1.h5")
      #expect(
        paths.map { ($0 as NSString).lastPathComponent } == [
          "p #1.png", "p #1-swap.png", "p #1-a__b_.png",
        ])
      let single = try ImageDecoder.decode(path: paths[1])
      #expect(single.width == 224 && single.height == 224)
      // The brightest spot is where the map is highest.
      let brightest = (0..<224 * 224).max {
        single.pixels[$0 * 3 + 1] < single.pixels[$1 * 3 + 1]
      }!
      #expect(abs(brightest % 224 - 68) < 8 && abs(brightest / 224 - 116) < 8)
      let all = try ImageDecoder.decode(path: paths[0])
      #expect(all.width == 2 * 224 + 16 && all.height == 224)
      #expect(all.cropped(left: 0, top: 0, width: 224, height: 224) == single)
      #expect(
        try all.cropped(left: 240, top: 0, width: 224, height: 224)
          == ImageDecoder.decode(path: paths[2]))

      let page = try String(contentsOfFile: folder + "/p #1.html", encoding: .utf8)
      let elements = try Elements(bodyOf: page)
      #expect(elements.isWhole)
      #expect(
        elements.attributes("src").map(\.removingPercentEncoding)
          == ["p #1-swap.png", "p #1-a__b_.png"])
      #expect(elements.all.filter { $0.name == "h3" }.map(\.text) == ["swap", "a/<b>"])
      let notes = elements.all.filter { $0.name == "p" }.map(\.text)
      #expect(notes.contains { $0.hasPrefix("mean of 100 images, values 0.0") })
      #expect(notes.contains { $0.hasPrefix("mean of 1 image, values ") })
      // Again, over what is there.
      let again = try PrototypePictures.write(
        prototypes: maps, methods: ["swap", "a/<b>", "never"], counts: [100, 1, 0], width: side,
        height: side, beside: folder + "/p #1.h5")
      #expect(again == paths)
    }
  }

  /// The prototypes' own file is never replaced by a picture or page of them, nor is another page.
  @Test func neitherTheFileNorAnotherPageIsReplaced() throws {
    try withFolder { folder in
      func write(_ name: String) throws {
        try PrototypePictures.write(
          prototypes: [0, 1, 2, 3], methods: ["a"], counts: [1], width: 2, height: 2,
          beside: folder + "/" + name)
      }
      for name in ["p.png", "q.html"] {
        try Data("mine".utf8).write(to: URL(filePath: folder + "/" + name))
        try write(name)
        #expect(try Data(contentsOf: URL(filePath: folder + "/" + name)) == Data("mine".utf8))
        #expect(FileManager.default.fileExists(atPath: "\(folder)/\(name)-a.png"))
        #expect(FileManager.default.fileExists(atPath: "\(folder)/\(name).html"))
      }
      let report = folder + "/report.html"
      try Data(ReportPage(ReportFixture.contents()).html().utf8).write(to: URL(filePath: report))
      let before = try Data(contentsOf: URL(filePath: report))
      let error = try #require(throws: PageFrame.InTheWay.self) { try write("report.h5") }
      #expect(
        error.description
          == "\(report): is no page of rfm prototypes, which would replace it; give another "
          + "--output")
      #expect(try Data(contentsOf: URL(filePath: report)) == before)
      #expect(!FileManager.default.fileExists(atPath: folder + "/report.png"))
    }
  }

  @Test func methodsThatAFileSystemTakesForTheSameGetPicturesOfTheirOwn() throws {
    let folder = NSTemporaryDirectory() + "rfm-\u{301}-" + UUID().uuidString
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let methods = ["Swap", "swap", "s/wap", "s wap", "\u{301}x", "swap_"]
    let written = try PrototypePictures.write(
      prototypes: (0..<6 * 4).map { Float($0) }, methods: methods, counts: methods.map { _ in 1 },
      width: 2, height: 2, beside: folder + "/\u{301}p.h5")
    #expect(
      written.map { String($0.dropFirst(folder.utf8.count)) }.count == 7
        && Set(written.map { $0.lowercased() }).count == 7)
    let names = try FileManager.default.contentsOfDirectory(atPath: folder)
    #expect(Set(names.map { $0.lowercased() }).count == 8)
    #expect(names.allSatisfy { $0.unicodeScalars.first == "\u{301}" })
  }
}
