import Foundation
import Testing

@testable import Checkpoints
@testable import FaceShards
@testable import Networks

extension Jobs {
  /// Weights that are no checkpoint of rfm's.
  @Suite struct Weights {
    private let runs: TinyRuns
    private var folder: TestFolder { runs.folder }

    init() throws { runs = try TinyRuns() }

    /// The weights of a few steps, changed, without what they say of themselves.
    private func weights(
      _ name: String, metadata: [String: String] = [:], _ change: (NamedTensor) -> NamedTensor
    ) throws -> String {
      let tensors = try Safetensors.read(TinyRuns.checkpoint.get().path + "/model.safetensors")
      try Safetensors.write(tensors.map(change), metadata: metadata, to: folder.file(name))
      return folder.file(name)
    }

    /// The tiny detector's head with other outputs.
    private func head(_ outputs: Int, _ tensor: NamedTensor) -> NamedTensor {
      guard tensor.name.hasPrefix("fc.") else { return tensor }
      let shape = [outputs] + tensor.shape.dropFirst()
      // The logit of fake over that of real, again and again.
      let size = tensor.values.count / 2
      let difference = zip(tensor.values[size...], tensor.values[..<size]).map { $0 - $1 }
      return NamedTensor(
        name: tensor.name, shape: shape,
        values: (0..<shape.reduce(1, *)).map { difference[$0 % size] })
    }

    private let use = ["--model", "xception-tiny", "--crop", "40"]

    private func evaluate(
      _ path: String, _ output: String, _ options: [String] = []
    ) throws -> Job.Outcome {
      try Job.run(
        "rfm",
        Applying.evaluate.arguments(
          checkpoint: path, data: SharedData.test, output: folder.file(output))
          + ["--no-localisation"] + options)
    }

    private func scores(_ output: String) throws -> [[String]] {
      try String(contentsOfFile: folder.file("\(output)/scores.csv"), encoding: .utf8)
        .split(separator: "\n").dropFirst().map {
          $0.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
        }
    }

    /// Figures of a random head are never printed, whatever warning might stand before them.
    @Test(arguments: [1, 1000]) func aRandomHeadIsNeverApplied(outputs: Int) throws {
      let path = try weights("w.safetensors") { head(outputs, $0) }
      let words = outputs == 1 ? "--head sigmoid" : "no detector"
      let prototypes = try TinyRuns.checkpoint.get().path + "/prototypes.h5"
      for command in Applying.allCases {
        let outcome = try Job.run(
          "rfm",
          command.arguments(
            checkpoint: path, data: SharedData.test, output: folder.file(command.outputName),
            prototypes: prototypes) + use)
        #expect(outcome.isRefusal(65, path, "its head fc has", words), "\(outcome)")
        #expect(outcome.standardOutput.isEmpty)
      }
      try folder.write("P2 1 1 255\n9\n", to: "face.pgm")
      let explained = try Job.run(
        "rfm", ["explain", "--checkpoint", path, folder.file("face.pgm")] + use)
      #expect(explained.isRefusal(65, path, "its head fc has", words), "\(explained)")
      #expect(explained.standardOutput.isEmpty)
      #expect(!folder.everything.contains { $0.hasPrefix("results") })

      // Training puts a fresh one in its place, and says so, as does the look before it.
      let settings = ["model.weights=\(path)", "training.steps=1", "run.report=false"]
      for more in [["--check"], []] {
        let trained = try runs.train("x", settings, more: more)
        #expect(trained.succeeded, "\(trained)")
        #expect(
          (trained.standardError + trained.standardOutput).contains(
            "it is replaced by a fresh one of two classes"), "\(trained)")
      }
    }

    @Test func theSameDetectorInOtherFormsHasTheSameScores() throws {
      let plain = try weights("plain.safetensors") { $0 }
      let usual = try evaluate(plain, "plain", use)
      #expect(usual.succeeded, "\(usual)")
      #expect(
        usual.standardError.contains("assumed: --mean 0.5 --std 0.25 --classes real,fake"),
        "\(usual)")
      let renamed = try weights("module.safetensors") {
        NamedTensor(
          name: "module." + $0.name.replacing(/^fc/, with: "last_linear.1"), shape: $0.shape,
          values: $0.values)
      }
      let whole = try TinyRuns.checkpoint.get().path
      // A checkpoint's own file says everything itself.
      for (name, path, options) in [
        ("renamed", renamed, use), ("bare", whole + "/model.safetensors", []), ("whole", whole, []),
      ] {
        let outcome = try evaluate(path, name, options)
        #expect(outcome.succeeded, "\(outcome)")
        // The probability, at the end, may be calibrated where a training's own file says how.
        #expect(try scores(name).map { $0.dropLast() } == scores("plain").map { $0.dropLast() })
        #expect((name == "renamed") == outcome.standardError.contains("'module.' is taken off"))
      }
      let one = try weights("one.safetensors") { head(1, $0) }
      let sigmoid = try evaluate(one, "one", use + ["--head", "sigmoid"])
      #expect(sigmoid.succeeded, "\(sigmoid)")
      let exchanged = try evaluate(plain, "exchanged", use + ["--classes", "fake,real"])
      #expect(exchanged.succeeded, "\(exchanged)")
      for (usual, (one, exchanged)) in zip(
        try scores("plain"), zip(try scores("one"), try scores("exchanged")))
      {
        #expect(one[5] == "0.0")
        #expect(abs(Double(one[7])! - Double(usual[7])!) < 1e-5)
        #expect(exchanged[5] == usual[6] && exchanged[6] == usual[5])
      }
      // Other colours give other scores: three numbers are taken, and the same three are one.
      for (name, mean) in [("colours", "0.485,0.456,0.406"), ("grey", "0.5,0.5,0.5")] {
        let outcome = try evaluate(plain, name, use + ["--mean", mean, "--std", "0.25"])
        #expect(outcome.succeeded, "\(outcome)")
        #expect(try (scores(name) == scores("plain")) == (name == "grey"))
      }
    }

    /// A training in three colours: its checkpoints, examples and report have them.
    @Test func aTrainingHasColoursOfItsOwn() throws {
      let outcome = try runs.train(
        "colours",
        [
          "data.mean=0.485,0.456,0.406", "data.std=[0.229, 0.224, 0.225]", "augmentation.fill=mean",
        ], ranks: 2)
      #expect(outcome.succeeded, "\(outcome)")
      let checkpoint = try Checkpoint(opening: runs.path("colours") + "/checkpoints/latest")
      #expect(checkpoint.state.detector.mean.all == [0.485, 0.456, 0.406])
      #expect(checkpoint.state.detector.std.all == [0.229, 0.224, 0.225])
      let whole = try evaluate(checkpoint.path, "whole")
      let bare = try evaluate(checkpoint.modelPath, "bare")
      #expect(whole.succeeded && bare.succeeded, "\(whole) \(bare)")
      #expect(try scores("whole") == scores("bare"))
      let resumed = try runs.train(
        "colours", ["training.steps=10"], ranks: 2, more: ["--resume"])
      #expect(!resumed.succeeded && "\(resumed)".contains("data.mean: [0.485"), "\(resumed)")
    }

    @Test func whatIsNoWeightsIsCalledByItsNameInEveryCommand() throws {
      try folder.write(
        "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 83\n", to: "w.safetensors")
      let path = folder.file("w.safetensors")
      let words = "Git LFS pointer to a file of 83 bytes"
      let evaluated = try evaluate(path, "results")
      #expect(evaluated.isRefusal(65, path, words), "\(evaluated)")
      let inspected = try Job.run("rfm", ["inspect", path])
      #expect(inspected.isRefusal(65, path, words), "\(inspected)")
      for more in [["--check"], []] {
        let trained = try runs.train("x", ["model.weights=\(path)"], more: more)
        #expect(trained.isRefusal(65, path, words), "\(trained)")
      }
      let shard = try FilePattern.expand([SharedData.test])[0]
      let mistaken = try evaluate(shard, "results")
      #expect(mistaken.isRefusal(65, shard, "a shard of images", "--data"), "\(mistaken)")
      let run = try evaluate(TinyRuns.checkpoint.get().runs.path("tiny"), "results")
      #expect(run.isRefusal(65, "the folder of a run", "/checkpoints/best"), "\(run)")
    }
  }
}
