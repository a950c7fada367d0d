import Foundation
import TestSupport
import Testing

@testable import HierarchicalData

@Suite struct HDF5Tests {
  let folder: TemporaryFolder

  init() throws { folder = TemporaryFolder() }

  private static let chunked = HDF5Layout(chunk: [2, 3], deflate: 4, shuffle: true)

  @Test(arguments: [HDF5Layout.contiguous, chunked, HDF5Layout(chunk: [1, 4], fletcher32: false)])
  func numbersComeBackWhateverTheLayout(layout: HDF5Layout) throws {
    let path = folder("numbers.h5")
    func roundTrip<T: HDF5Element & Equatable>(_ values: [T]) throws {
      do {
        let file = try HDF5File.create(path)
        try file.write("x", values, shape: [3, 4], layout: layout)
        try file.close()
      }
      let file = try HDF5File(reading: path)
      let dataset = try file.dataset("x")
      #expect(dataset.shape == [3, 4])
      #expect(try dataset.readAll(as: T.self) == values)
    }
    try roundTrip((0..<12).map { UInt8($0 * 23) })
    try roundTrip((0..<12).map { Int32($0) * -178_956_970 })
    try roundTrip((0..<12).map { Int64($0) << 59 | 5 })
    try roundTrip((0..<12).map { Float($0) * 0.1 - 0.3 })
    try roundTrip((0..<12).map { Double($0) / 7 })
  }

  /// A program started while a file is written inherits its descriptor and, with it, HDF5's lock.
  @Test func aProgramStartedMeanwhileDoesNotKeepAFileLocked() throws {
    let path = folder("inherited.h5")
    let file = try HDF5File.create(path)
    try file.write("x", [UInt8](0..<12), shape: [3, 4])
    let words: [UnsafeMutablePointer<CChar>?] = [strdup("sleep"), strdup("60"), nil]
    defer { for word in words { free(word) } }
    var child: pid_t = 0
    try #require(posix_spawn(&child, "/bin/sleep", nil, nil, words, environ) == 0)
    defer {
      kill(child, SIGKILL)
      waitpid(child, nil, 0)
    }
    try file.close()
    #expect(try HDF5File(reading: path).dataset("x").shape == [3, 4])
  }

  @Test func boxesAndRowsAreTheirParts() throws {
    let path = folder("boxes.h5")
    let file = try HDF5File.create(path)
    let dataset = try file.createDataset(
      "x", of: Int32.self, shape: [4, 5, 6], layout: HDF5Layout(chunk: [1, 5, 6]))
    let all = (0..<120).map(Int32.init)
    try all.withUnsafeBufferPointer {
      try dataset.writeRows(2..<4, from: UnsafeBufferPointer(rebasing: $0[60...]))
      try dataset.write(start: [0, 0, 0], count: [2, 5, 6], from: $0)
    }
    #expect(try dataset.readAll(as: Int32.self) == all)
    var box = [Int32](repeating: -1, count: 9)
    try box.withUnsafeMutableBufferPointer {
      try dataset.read(start: [1, 3, 2], count: [2, 1, 4], into: $0)
    }
    #expect(box == [50, 51, 52, 53, 80, 81, 82, 83, -1])
    var row = [Int64](repeating: 0, count: 30)  // converted on the way
    try row.withUnsafeMutableBufferPointer { try dataset.readRows(3..<4, into: $0) }
    #expect(row == (90..<120).map(Int64.init))
  }

  @Test func partsOutsideAndBuffersTooSmallAreErrors() throws {
    let file = try HDF5File.create(folder("bounds.h5"))
    try file.write("x", [UInt8](0..<12), shape: [3, 4])
    let dataset = try file.dataset("x")
    var buffer = [UInt8](repeating: 0, count: 8)
    buffer.withUnsafeMutableBufferPointer { buffer in
      #expect(throws: HDF5Error.self) { try dataset.readRows(2..<4, into: buffer) }
      #expect(throws: HDF5Error.self) { try dataset.readRows(0..<3, into: buffer) }
      #expect(throws: HDF5Error.self) {
        try dataset.read(start: [0, 4], count: [1, 1], into: buffer)
      }
      #expect(throws: Never.self) { try dataset.readRows(1..<3, into: buffer) }
    }
    #expect(buffer == [UInt8](4..<12))
  }

  @Test func extendibleDatasetsGrow() throws {
    let path = folder("growing.h5")
    do {
      let file = try HDF5File.create(path)
      let numbers = try file.createDataset(
        "n", of: UInt8.self, shape: [0, 2],
        layout: HDF5Layout(chunk: [1, 2], isExtendible: true))
      let names = try file.createDataset(
        "s", of: .variable, shape: [0], layout: HDF5Layout(chunk: [4], isExtendible: true))
      for i in 0..<9 {
        try numbers.extend(to: i + 1)
        try [UInt8(i), UInt8(2 * i)].withUnsafeBufferPointer {
          try numbers.writeRows(i..<i + 1, from: $0)
        }
        try names.extend(to: i + 1)
        try names.writeStrings(["name \(i)"], at: i)
      }
      #expect(try numbers.writtenChunks() == 9)
    }
    let file = try HDF5File(reading: path)
    #expect(
      try file.dataset("n").readAll(as: UInt8.self)
        == (0..<9).flatMap { [UInt8($0), UInt8(2 * $0)] })
    #expect(try file.dataset("s").readStrings() == (0..<9).map { "name \($0)" })
  }

  @Test(arguments: [
    HDF5StringType.variable, HDF5StringType(isUTF8: false),
    HDF5StringType(fixedLength: 12, padding: .nullTerminated),
    HDF5StringType(fixedLength: 12, isUTF8: false, padding: .nullPadded),
    HDF5StringType(fixedLength: 12, padding: .spacePadded),
  ])
  func stringsComeBackWhateverTheirStorage(type: HDF5StringType) throws {
    let texts = ["real", "", "Zürich 面", "with space", "x"]
    let path = folder("strings.h5")
    do {
      let file = try HDF5File.create(path)
      try file.write("s", texts, type: type)
      try file.setAttribute("a", .strings(texts), strings: type)
      try file.setAttribute("one", .string(texts[2]), strings: type)
    }
    let file = try HDF5File(reading: path)
    let dataset = try file.dataset("s")
    #expect(dataset.type == .string(type))
    #expect(try dataset.readStrings() == texts)
    #expect(try file.attribute("a") == .strings(texts))
    #expect(try file.attribute("one") == .string(texts[2]))
  }

  @Test func aStringLongerThanItsPlaceIsAnError() throws {
    let file = try HDF5File.create(folder("long.h5"))
    let error = #expect(throws: HDF5Error.self) {
      try file.write("s", ["1234", "12345"], type: HDF5StringType(fixedLength: 5))
    }
    #expect(error?.description.contains("\"12345\" is longer than 5 bytes") == true)
  }

  @Test func attributesOfAllKindsComeBackAndAreReplaced() throws {
    let path = folder("attributes.h5")
    let values: [String: HDF5Value] = [
      "integer": .integer(-5), "integers": .integers([1, 2, 1 << 40]), "number": .number(0.25),
      "numbers": .numbers([0.1, -1e300]), "text": .string("rfm"), "none": .integers([]),
    ]
    do {
      let file = try HDF5File.create(path)
      try file.write("x", [UInt8]())
      let dataset = try file.dataset("x")
      try file.setAttribute("integer", .string("to be replaced"))
      for (name, value) in values {
        try file.setAttribute(name, value)
        try dataset.setAttribute(name, value)
      }
    }
    let file = try HDF5File(reading: path)
    let dataset = try file.dataset("x")
    #expect(try file.attributeNames() == values.keys.sorted())
    #expect(try file.attribute("absent") == nil)
    for (name, value) in values {
      #expect(try file.attribute(name) == value)
      #expect(try dataset.attribute(name) == value)
    }
  }

  @Test func aDatasetKnowsItsTypeAndStorage() throws {
    let file = try HDF5File.create(folder("storage.h5"))
    let dataset = try file.createDataset(
      "x", of: Float.self, shape: [4, 6], layout: Self.chunked)
    #expect(dataset.type == .floatingPoint(bits: 32))
    let storage = try dataset.storage()
    #expect(storage.layout == .chunked && storage.chunk == [2, 3])
    #expect(storage.deflate == 4 && storage.shuffle && storage.fletcher32)
    #expect(storage.storedBytes == 0)
    try file.write("y", [Int64(1), 2])
    #expect(try file.dataset("y").storage().layout == .contiguous)
    #expect(try file.names() == ["x", "y"])
  }

  @Test func errorsNameFileAndObjectAndReason() throws {
    let missing = #expect(throws: HDF5Error.self) {
      _ = try HDF5File(reading: folder("missing.h5"))
    }
    #expect(
      missing?.description
        == "\(folder("missing.h5")): cannot open: No such file or directory")
    #expect(missing?.isInputOutput == true)
    let directory = #expect(throws: HDF5Error.self) { _ = try HDF5File(reading: folder.path) }
    #expect(directory?.reason == "it is not a regular file")
    let text = folder("text.h5")
    try Data("plain text, longer than a superblock would be".utf8).write(to: URL(filePath: text))
    let notHDF5 = #expect(throws: HDF5Error.self) { _ = try HDF5File(reading: text) }
    #expect(notHDF5?.description == "\(text): cannot open: it is not an HDF5 file")
    let nowhere = #expect(throws: HDF5Error.self) {
      _ = try HDF5File.create(folder("no/such/folder.h5"))
    }
    #expect(nowhere?.reason == "No such file or directory" && nowhere?.isInputOutput == true)

    let file = try HDF5File.create(folder("objects.h5"))
    let dataset = #expect(throws: HDF5Error.self) { _ = try file.dataset("x") }
    #expect(
      dataset?.description.hasSuffix("objects.h5, x: cannot open: there is no such dataset") == true
    )
    try file.write("n", [Int32(1)])
    #expect(throws: HDF5Error.self) { _ = try file.dataset("n").readStrings() }
  }

  @Test func aDeclaredSizeBeyondTheLimitIsRefusedBeforeItIsAllocated() throws {
    let path = folder("huge.h5")
    do {
      let file = try HDF5File.create(path)
      _ = try file.createDataset(
        "numbers", of: Double.self, shape: [1 << 40, 1 << 10],
        layout: HDF5Layout(chunk: [1, 1 << 10]))
      _ = try file.createDataset(
        "strings", of: HDF5StringType(fixedLength: 1 << 20), shape: [1 << 40],
        layout: HDF5Layout(chunk: [1]))
      try file.write("long", [String(repeating: "x", count: 1000)])
    }
    let file = try HDF5File(reading: path)
    #expect(throws: HDF5Error.self) { _ = try file.dataset("numbers").readAll(as: Double.self) }
    #expect(throws: HDF5Error.self) { _ = try file.dataset("strings").readStrings() }
    #expect(throws: HDF5Error.self) { _ = try file.dataset("long").readStrings(limit: 500) }
    #expect(try file.dataset("long").readStrings(limit: 2000)[0].count == 1000)
  }

  @Test func aDamagedChunkIsAChecksumFailure() throws {
    let path = folder("damaged.h5")
    let marker: [UInt8] = [0xde, 0xad, 0xbe, 0xef, 0x15, 0x90, 0x0d, 0x5e]
    do {
      let file = try HDF5File.create(path)
      try file.write(
        "x", marker + marker.reversed(), shape: [2, 8], layout: HDF5Layout(chunk: [1, 8]))
    }
    var bytes = try Data(contentsOf: URL(filePath: path))
    let place = try #require(bytes.firstRange(of: marker.reversed()))
    bytes[place.lowerBound] ^= 1
    try bytes.write(to: URL(filePath: path))
    let file = try HDF5File(reading: path)
    let dataset = try file.dataset("x")
    var row = [UInt8](repeating: 0, count: 8)
    try row.withUnsafeMutableBufferPointer { try dataset.readRows(0..<1, into: $0) }
    #expect(row == marker)
    let error = row.withUnsafeMutableBufferPointer { buffer in
      #expect(throws: HDF5Error.self) { try dataset.readRows(1..<2, into: buffer) }
    }
    #expect(error?.isDamage == true)
    #expect(error?.description.contains("damaged.h5, x: cannot read row 1: ") == true)
  }

  @Test func truncatedFilesAreErrors() throws {
    let path = folder("whole.h5")
    do {
      let file = try HDF5File.create(path)
      try file.write(
        "x", [UInt8](repeating: 7, count: 4096), shape: [16, 256],
        layout: HDF5Layout(chunk: [1, 256]))
      try file.write("s", ["a", "b"])
    }
    let bytes = try Data(contentsOf: URL(filePath: path))
    for part in stride(from: 0, to: bytes.count, by: 97) {
      let cut = folder("cut.h5")
      try bytes.prefix(part).write(to: URL(filePath: cut))
      #expect(throws: HDF5Error.self) { _ = try HDF5File(reading: cut) }
    }
  }

  @Test func severalThreadsMayReadOneDataset() async throws {
    let path = folder("threads.h5")
    do {
      let file = try HDF5File.create(path)
      try file.write(
        "x", (0..<64).flatMap { [UInt8](repeating: $0, count: 100) }, shape: [64, 100],
        layout: HDF5Layout(chunk: [1, 100]))
    }
    let file = try HDF5File(reading: path)
    let dataset = try file.dataset("x")
    let wrong = await withTaskGroup(of: Int.self) { group in
      for worker in 0..<4 {
        group.addTask {
          var wrong = 0
          var row = [UInt8](repeating: 0, count: 100)
          for i in stride(from: worker, to: 64, by: 4) {
            try? row.withUnsafeMutableBufferPointer { try dataset.readRows(i..<i + 1, into: $0) }
            if row != [UInt8](repeating: UInt8(i), count: 100) { wrong += 1 }
          }
          return wrong
        }
      }
      return await group.reduce(0, +)
    }
    #expect(wrong == 0)
  }
}
