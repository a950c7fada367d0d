import Foundation
import Testing

/// `rfm synthesize` as users start it, alone and under `mpirun`.
@Suite struct SynthesizeJobs {
  private let folder: String

  init() throws {
    folder = NSTemporaryDirectory() + "rfm-synthesize-" + UUID().uuidString
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
  }

  private func shards(_ name: String) throws -> [String: Data] {
    let path = folder + "/" + name
    var result: [String: Data] = [:]
    for file in try FileManager.default.contentsOfDirectory(atPath: path) {
      result[file] = try Data(contentsOf: URL(fileURLWithPath: path + "/" + file))
    }
    return result
  }

  private func options(_ name: String) -> [String] {
    [
      "synthesize", "--output", folder + "/" + name, "--images-per-class", "20", "--size", "64",
      "--images-per-shard", "10",
    ]
  }

  @Test func anyNumberOfRanksWritesTheSameBytesAndOneSpeaks() throws {
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let alone = try Job.run("rfm", options("alone"))
    #expect(alone.succeeded, "\(alone)")
    #expect(alone.standardOutput.contains("40 images of 64x64 pixels"))
    #expect(alone.standardError.contains("images/s"))
    let expected = try shards("alone")
    #expect(
      expected.keys.sorted() == [
        "test-00000.h5", "train-00000.h5", "train-00001.h5", "validation-00000.h5",
      ])
    for ranks in [2, 4] {
      let together = try Job.run("rfm", options("ranks-\(ranks)"), ranks: ranks)
      #expect(together.succeeded, "\(together)")
      #expect(try shards("ranks-\(ranks)") == expected)
      #expect(together.standardOutput.components(separatedBy: "train:").count == 2)
    }
  }

  @Test func aDataSetIsNotOverwrittenUnasked() throws {
    defer { try? FileManager.default.removeItem(atPath: folder) }
    #expect(try Job.run("rfm", options("data")).succeeded)
    let before = try shards("data")
    for ranks in [nil, 2] {
      let refused = try Job.run("rfm", options("data") + ["--seed", "2"], ranks: ranks)
      #expect(refused.status == 74 && refused.leftovers.isEmpty, "\(refused)")
      #expect(refused.standardError.contains("test-00000.h5"))
      #expect(refused.standardError.contains("--overwrite"))
      #expect(try shards("data") == before)
    }
    let replaced = try Job.run("rfm", options("data") + ["--seed", "2", "--overwrite"])
    #expect(replaced.succeeded, "\(replaced)")
    let after = try shards("data")
    #expect(after.keys == before.keys && after != before)
  }

  @Test func aMistypedOptionIsUsage() throws {
    defer { try? FileManager.default.removeItem(atPath: folder) }
    for (option, value) in [
      ("--images-per-class", "14"), ("--size", "65"), ("--threads", "0"), ("--traces", "4"),
      ("--strength", "0"), ("--strength", "nan"), ("--variation", "3.5"),
    ] {
      let outcome = try Job.run("rfm", options("none") + [option, value])
      #expect(outcome.status == 64, "\(outcome)")
      #expect(outcome.standardError.contains(option))
    }
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder).isEmpty)
  }
}
