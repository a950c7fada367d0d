import Foundation
import Testing

@testable import Checkpoints
@testable import Configuration
@testable import Networks

extension Jobs {
  /// `rfm export`; what the file computes is tested by `ONNXExportTests`.
  @Suite struct Export {
    private let folder: TestFolder

    init() throws { folder = try TestFolder() }

    private func export(
      _ checkpoint: String, _ output: String, _ more: [String] = [], ranks: Int? = nil
    ) throws -> Job.Outcome {
      try Job.run(
        "rfm", ["export", "--checkpoint", checkpoint, "--output", output] + more, ranks: ranks)
    }

    @Test func aTrainingsCheckpointIsExportedWithWhatItNeeds() throws {
      let checkpoint = try TinyRuns.checkpoint.get().path
      let output = folder.file("made/tiny.onnx")
      let outcome = try export(checkpoint, output, ranks: 2)
      #expect(outcome.succeeded, "\(outcome)")
      // Convolutions: 2 of the stem, 5 in each of 4 blocks that pool, 6 in each of 2 others, 4 at the
      // end. 17 ReLUs, 4 poolings, 6 sums; average, flatten, matrix. All parameters but γ of the norms.
      #expect(
        outcome.standardOutput
          == """
          operators       68
          weights         2329608 bytes
          written to      \(output)

          """)
      let file = try bytes(output)
      #expect((2_329_608...2_350_000).contains(file.count), "\(file.count) bytes")
      let text = String(decoding: file.suffix(300), as: UTF8.self)
      for (key, value) in [
        ("model", "xception-tiny"), ("crop", "40"), ("mean", "[0.5, 0.5, 0.5]"),
        ("std", "[0.25, 0.25, 0.25]"), ("classes", "real,fake"), ("rfm_version", RunVersions.rfm),
      ] {
        // Tag, length and text, one after another.
        let size = { (text: String) in Character(UnicodeScalar(UInt8(text.utf8.count))) }
        #expect(text.contains("\n\(size(key))\(key)\u{12}\(size(value))\(value)"), "\(key)")
      }

      // Again, from the bare file and in its place: the same bytes.
      let again = try export(checkpoint + "/model.safetensors", output)
      #expect(again.succeeded, "\(again)")
      #expect(try bytes(output) == file)
      #expect(folder.names("made") == ["tiny.onnx"])
      let inspected = try Job.run("rfm", ["inspect", output])
      #expect(inspected.isRefusal(65, output, "an ONNX model"), "\(inspected)")
    }

    @Test func whatCannotBeExportedIsRefusedAndNothingIsWritten() throws {
      let checkpoint = try TinyRuns.checkpoint.get().path
      let tensors = try Safetensors.read(checkpoint + "/model.safetensors")
      // ImageNet's head, or one logit.
      for outputs in [1, 1000] {
        let path = folder.file("head-\(outputs).safetensors")
        try Safetensors.write(
          tensors.map {
            guard $0.name.hasPrefix("fc.") else { return $0 }
            let shape = [outputs] + $0.shape.dropFirst()
            return NamedTensor(
              name: $0.name, shape: shape,
              values: [Float](repeating: 0, count: shape.reduce(1, *)))
          }, metadata: [:], to: path)
        let refused = try export(path, folder.file("x.onnx"), ["--model", "xception-tiny"])
        #expect(
          refused.isRefusal(
            65, path, "its head fc has", outputs == 1 ? "--head sigmoid" : "no detector"),
          "\(refused)")
      }
      let one = try export(
        folder.file("head-1.safetensors"), folder.file("one.onnx"),
        ["--head", "sigmoid", "--crop", "40"])
      #expect(one.succeeded, "\(one)")
      let contradiction = try export(checkpoint, folder.file("x.onnx"), ["--crop", "64"])
      #expect(contradiction.isRefusal(64, "--crop 64 contradicts", "40"), "\(contradiction)")
      for output in [checkpoint + "/model.safetensors", checkpoint + "/../latest/x.onnx"] {
        let over = try export(checkpoint, output)
        #expect(over.isRefusal(64, "--output", "which --checkpoint reads"), "\(over)")
      }
      let weights = folder.file("head-1.safetensors")
      let own = try export(weights, weights, ["--head", "sigmoid"])
      #expect(own.isRefusal(64, "--output", "which --checkpoint reads"), "\(own)")
      try folder.write("in the way", to: "file")
      let place = try export(checkpoint, folder.file("file/x.onnx"))
      #expect(place.isRefusal(74, folder.file("file"), "File exists"), "\(place)")
      #expect(
        folder.names() == ["file", "head-1.safetensors", "head-1000.safetensors", "one.onnx"])
    }

    @Test(.enabled(if: SmallDisk.isAllowed, "needs a user who may mount a file system"))
    func aFullDiskLeavesTheFileThatWasThere() throws {
      let disk = try SmallDisk(megabytes: 1)
      let output = disk.path + "/tiny.onnx"
      try Data("before".utf8).write(to: URL(filePath: output))
      let outcome = try export(TinyRuns.checkpoint.get().path, output, ranks: 2)
      #expect(outcome.isRefusal(74, output, "No space left on device"), "\(outcome)")
      #expect(try FileManager.default.contentsOfDirectory(atPath: disk.path) == ["tiny.onnx"])
      #expect(try bytes(output) == Array("before".utf8))
    }
  }
}
