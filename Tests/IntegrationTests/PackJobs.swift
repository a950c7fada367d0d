import FaceShards
import Foundation
import Testing

/// `rfm pack` as users run it.
@Suite(.serialized) struct PackJobs {
  /// Folders of small PPM images, some of them broken.
  private final class Faces {
    let path = NSTemporaryDirectory() + "rfm-pack-" + UUID().uuidString

    init(people: Int = 20, side: Int = 40) throws {
      for person in 0..<people {
        for (kind, folder) in ["real", "fake/swap", "fake/mouth"].enumerated() {
          let header = Array("P6 \(side) \(side) 255\n".utf8)
          let pixels = (0..<side * side * 3).map { UInt8(($0 * (person + 3) + kind * 77) & 255) }
          try write("\(folder)/id\(person)/frame", header + pixels)
        }
      }
    }

    func write(_ name: String, _ bytes: [UInt8]) throws {
      let file = URL(fileURLWithPath: path + "/in/" + name)
      try FileManager.default.createDirectory(
        at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
      try Data(bytes).write(to: file)
    }

    var arguments: [String] {
      ["pack", "--input", path + "/in", "--size", "24", "--images-per-shard", "10"]
    }

    func files(_ folder: String) throws -> [String: Data] {
      var all: [String: Data] = [:]
      for name in try FileManager.default.contentsOfDirectory(atPath: path + "/" + folder) {
        all[name] = try Data(contentsOf: URL(fileURLWithPath: "\(path)/\(folder)/\(name)"))
      }
      return all
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }
  }

  @Test func anyNumberOfRanksMakesTheSameBytes() throws {
    let faces = try Faces()
    try faces.write("real/id3/notes.txt", Array("hello".utf8))
    var alone: (files: [String: Data], output: String)?
    for ranks in [nil, 1, 2, 4] as [Int?] {
      let folder = "out-\(ranks ?? 0)"
      let outcome = try Job.run(
        "rfm", faces.arguments + ["--output", faces.path + "/" + folder], ranks: ranks)
      #expect(outcome.succeeded, "\(outcome)")
      #expect(
        outcome.lines(from: "rfm") == [
          "rfm: real/id3/notes.txt: not an image (JPEG, PNG or PNM); passed over",
          "rfm: 1 of 61 images can't be decoded and are not packed",
        ], "\(outcome)")
      let files = try faces.files(folder)
      if let alone {
        #expect(files == alone.files && outcome.standardOutput == alone.output)
      } else {
        #expect(files.count >= 6 && outcome.standardOutput.hasPrefix("split "))
        alone = (files, outcome.standardOutput)
      }
    }
  }

  @Test(arguments: [nil, 3] as [Int?])
  func errorsAreOneLineWithTheirStatusAndLeaveNothing(ranks: Int?) throws {
    let faces = try Faces()
    try faces.write("fake/swap/id7/cut", Array("P6 40 40 255\nabc".utf8))
    let place = ranks == nil ? "" : "rank 0: "
    for (arguments, status, part) in [
      (["--strict"], 65, "fake/swap/id7/cut: damaged PNM"),
      (["--split", "train=0.5"], 64, "add up to 0.5"),
      (["--input", faces.path + "/missing"], 74, "missing: can't be opened"),
      (["--input", faces.path + "/in/real"], 65, "no images in real/"),
    ] as [([String], Int32, String)] {
      let outcome = try Job.run(
        "rfm", faces.arguments + arguments + ["--output", faces.path + "/out"], ranks: ranks)
      #expect(outcome.status == status, "\(outcome)")
      #expect(outcome.leftovers.isEmpty && !outcome.timedOut, "\(outcome)")
      let lines = outcome.lines(from: "rfm")
      #expect(lines.count == 1 && lines[0].hasPrefix("rfm: \(place)"), "\(outcome)")
      #expect(lines.first?.contains(part) == true, "\(outcome)")
      #expect((try? faces.files("out"))?.isEmpty != false)
    }
  }

  @Test(arguments: [SIGINT, SIGTERM])
  func aStoppedPackingTidiesUpAndDiesOfTheSignal(signal: Int32) throws {
    let faces = try Faces(people: 300, side: 300)
    let job = try Job(
      "rfm", faces.arguments + ["--output", faces.path + "/out", "--threads", "1"])
    #expect(
      job.wait { _ in FileManager.default.fileExists(atPath: faces.path + "/out/.packing") })
    job.signal(signal)
    let outcome = job.wait()
    #expect(outcome.status == 128 + signal, "\(outcome)")
    #expect(try faces.files("out").isEmpty)
  }

  @Test func aKilledPackingIsForgottenByTheNext() throws {
    let faces = try Faces(people: 200, side: 200)
    let arguments = faces.arguments + ["--output", faces.path + "/out", "--threads", "1"]
    let job = try Job("rfm", arguments)
    #expect(
      job.wait { _ in FileManager.default.fileExists(atPath: faces.path + "/out/.packing/0.h5") })
    job.signal(SIGKILL)
    _ = job.wait()
    #expect(
      try FileManager.default.contentsOfDirectory(atPath: faces.path + "/out").allSatisfy {
        $0.hasPrefix(".")
      })
    let outcome = try Job.run("rfm", arguments)
    #expect(outcome.succeeded, "\(outcome)")
    #expect(try faces.files("out").keys.allSatisfy { $0.hasSuffix(".h5") })
  }
}
