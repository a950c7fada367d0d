import Foundation
import TestSupport
import Testing

@testable import FaceShards
@testable import HierarchicalData

@Suite struct ShardInspectionTests {
  let folder: TemporaryFolder

  init() throws { folder = TemporaryFolder() }

  @Test func aShardIsDescribedByItsNumbers() throws {
    let path = folder("a.h5")
    try ShardFixtures.write(path, methods: [0, 1, 2, 2, 0, 2], gzip: 3, paths: true)
    let inspection = try ShardInspection(of: Shard(reading: path))
    #expect(inspection.methods.map(\.name) == ["real", "blend", "grid"])
    #expect(inspection.methods.map(\.count) == [2, 1, 3])
    #expect(inspection.sourceCount == 3)
    let lines = inspection.lines
    #expect(lines[0] == "shard of 6 images, 8x10 pixels")
    #expect(lines[1] == "  labels: 2 real, 4 fake")
    #expect(lines[2] == "  methods: real 2, blend 1, grid 3")
    #expect(lines[3...4] == ["  sources: 3 different", "  paths: yes"])
    #expect(lines[5].hasPrefix("  images: chunks of 1x8x10x3, gzip 3, checksums, "))
    #expect(lines[6] == "  masks: none")
  }

  @Test func everyDamagedRowIsNamedAndTheRestIsRead() throws {
    let path = folder("a.h5")
    try ShardFixtures.write(path, methods: [1, 0, 1, 2, 1, 0])
    var bytes = try Data(contentsOf: URL(filePath: path))
    for row in [1, 4] {
      let place = try #require(
        bytes.firstRange(of: KnownImage.pixels(row, height: 8, width: 10)[..<32]))
      bytes[place.lowerBound + 7] ^= 1
    }
    try bytes.write(to: URL(filePath: path))
    let shard = try Shard(reading: path)
    var steps: [Int] = []
    let problems = try ShardInspection.problems(of: shard) { steps.append($0) }
    #expect(steps == [1, 2, 3, 4, 5, 6])
    #expect(problems.count == 2)
    for (problem, row) in zip(problems, [1, 4]) {
      #expect(problem.hasPrefix("\(path), images: cannot read row \(row): "))
    }
    #expect(try ShardInspection.problems(of: shard, rows: 2..<4).isEmpty)
  }

  @Test func soundShardsHaveNoProblems() throws {
    for name in ["as-written.h5", "contiguous.h5", "compressed.h5", "latest.h5"] {
      let shard = try Shard(reading: ShardFixtures.golden(name))
      #expect(try ShardInspection.problems(of: shard).isEmpty)
    }
  }

  @Test func imagesThatWereNeverWrittenAndMasksOfRealOnesAreFound() throws {
    let path = folder("holes.h5")
    do {
      let file = try HDF5File.create(path)
      try file.setAttribute("format", .string("rfm-shard"))
      try file.setAttribute("version", .integer(1))
      let images = try file.createDataset(
        "images", of: UInt8.self, shape: [3, 8, 10, 3],
        layout: HDF5Layout(chunk: [1, 8, 10, 3]))
      for row in [0, 2] {
        try KnownImage.pixels(row, height: 8, width: 10).withUnsafeBufferPointer {
          try images.writeRows(row..<row + 1, from: $0)
        }
      }
      try file.write("labels", [0, 0, 1] as [UInt8])
      try file.write("methods", [0, 0, 1] as [UInt8])
      try file.write("method_names", ["real", "blend"])
      var masks = [UInt8](repeating: 0, count: 240)
      masks[85] = 255
      masks[170] = 255
      try file.write("masks", masks, shape: [3, 8, 10])
    }
    let problems = try ShardInspection.problems(of: Shard(reading: path))
    #expect(
      problems == [
        "\(path): 2 of 3 chunks of images were ever written; the others read as black",
        "\(path): row 1: the image is real, but its mask is not empty",
      ])
  }
}
