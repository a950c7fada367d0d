import FaceShards
import Foundation
import Images
import TestSupport
import Testing

@testable import Reports

@Suite struct ContactSheetTests {
  let folder = TemporaryFolder()

  /// Images of one grey each, which is their row's number.
  private func write(_ name: String, methods: [Int], first: Int, side: Int = 10) throws -> String {
    let writer = try ShardWriter(
      path: folder(name), height: side, width: side, methodNames: ["real", "swap", "never"],
      hasSources: false)
    for (row, method) in methods.enumerated() {
      try writer.append(
        image: [UInt8](repeating: UInt8(first + row), count: side * side * 3), method: method)
    }
    try writer.finish()
    return folder(name)
  }

  private func grey(_ sheet: ContactSheet, row: Int, column: Int) -> UInt8 {
    let (x, y) = (column * 14 + 5, row * 14 + 5)
    return sheet.image.pixels[(y * sheet.image.width + x) * 3]
  }

  @Test func everyMethodHasRowsOfItsOwn() throws {
    let paths = [
      try write("a.h5", methods: [1, 0, 0, 1], first: 10),
      try write("b.h5", methods: Array(repeating: 0, count: 100), first: 100),
    ]
    let sheet = try ContactSheet(of: paths)
    #expect(sheet.lines == ["rows 1 to 4: real, 48 of 102 images", "row 5: swap, 2 of 2 images"])
    #expect(sheet.image.width == 12 * 14 - 4 && sheet.image.height == 5 * 14 - 4)
    // The first and the last real ones, and both fakes; then paper.
    #expect(grey(sheet, row: 0, column: 0) == 11 && grey(sheet, row: 3, column: 11) == 199)
    #expect(grey(sheet, row: 4, column: 0) == 10 && grey(sheet, row: 4, column: 1) == 13)
    #expect(grey(sheet, row: 4, column: 2) == PictureGrid.paper[0])
  }

  @Test func shardsOfOtherSizesAreRefused() throws {
    let paths = [
      try write("a.h5", methods: [0], first: 1),
      try write("b.h5", methods: [0], first: 1, side: 12),
    ]
    let error = try #require(throws: ShardError.self) { try ContactSheet(of: paths) }
    #expect(error.file == paths[1] && error.reason.contains("12x12"))
    let empty = try write("empty.h5", methods: [], first: 0)
    #expect(throws: ShardError.self) { try ContactSheet(of: [empty]) }
  }
}
