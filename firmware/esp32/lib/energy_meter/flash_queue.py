"""A queue of records in files: what does not fit the memory while nobody takes it.

Files of a bounded size are only ever appended to and removed whole, which is what a flash file system does best. A
power cut costs at most the record that was being written: its checksum tells.
"""

import os

from . import records

SEGMENT = 16384
"""Bytes of one file: four erase blocks."""


class _Segment:
    def __init__(self, number, first):
        self.number = number
        self.first = first
        """Position of its first record."""
        self.count = 0
        self.size = 0
        self.last_key = (0, 0)


class FlashQueue:
    """Records by position; positions rise by one and begin at 0 with each start."""

    def __init__(self, folder, limit, opener=open):
        """Look what an earlier start left in the folder; keep at most `limit` bytes."""
        self._folder = folder
        self._limit = limit
        self._open = opener
        self._segments = []
        self._newest = 0
        self._at = (None, 0, 0)
        """Where the last record was read: file, the next position, its offset."""
        _make(folder)
        for name in sorted(os.listdir(folder)):
            if name.endswith(".q"):
                self._scan(int(name[:-2]))

    @property
    def first(self):
        """Position of the oldest record."""
        return self._segments[0].first if self._segments else self.end

    end = 0
    """Position behind the newest record."""

    @property
    def bytes_used(self):
        """Bytes of all files."""
        return sum(segment.size for segment in self._segments)

    def append(self, batch):
        """Write records, and remove the oldest files if there is no room for them. Raises OSError."""
        done = 0
        while done < len(batch):
            segment = self._open_segment(len(batch[done]))
            size = segment.size
            taken = done
            try:
                with self._open(self._path(segment.number), "ab") as file:
                    while taken < len(batch) and size + len(batch[taken]) <= SEGMENT:
                        file.write(batch[taken])
                        size += len(batch[taken])
                        taken += 1
            except OSError:
                segment.size = SEGMENT  # Nobody knows what it ends in: begin another one next time.
                raise
            segment.size = size
            segment.count += taken - done
            segment.last_key = records.key(batch[taken - 1])
            self.end += taken - done
            done = taken

    def read(self, position):
        """The record at a position, or None if there is none or it is damaged. Raises OSError."""
        segment = self._holding(position)
        if segment is None:
            return None
        with self._open(self._path(segment.number), "rb") as file:
            for at, offset, head in self._heads(segment, file, position):
                if at == position:
                    body = file.read(records.size(head) - records.HEAD)
                    self._stand(segment, at + 1, offset + records.size(head))
                    return head + body
        return None

    def after(self, key):
        """The position behind the last record whose (boot, seq) is not above `key`. Raises OSError."""
        position = self.first
        for segment in self._segments:
            position = segment.first + segment.count
            if segment.last_key > key:
                with self._open(self._path(segment.number), "rb") as file:
                    for at, _, head in self._heads(segment, file, segment.first):
                        if records.key(head) > key:
                            return at
                break
        return position

    def holds(self, position):
        """Whether there is a record at a position; between two files there may be none for a while."""
        return self._holding(position) is not None

    def drop_through(self, position):
        """Remove the files all of whose records lie before a position."""
        while self._segments and self._segments[0].first + self._segments[0].count <= position:
            self._drop_oldest()

    def _drop_oldest(self):
        segment = self._segments.pop(0)
        os.remove(self._path(segment.number))

    def _open_segment(self, size):
        """The file that a record of this size goes to, after making room for it."""
        segment = self._segments[-1] if self._segments else None
        if (
            segment is None
            or segment.size + size > SEGMENT
            or segment.first + segment.count != self.end
        ):
            while self._segments and self.bytes_used + SEGMENT > self._limit:
                self._drop_oldest()
            self._newest += (
                1  # No number twice in one start: `_at` would take one file for the other.
            )
            segment = _Segment(self._newest, self.end)
            self._segments.append(segment)
        return segment

    def _heads(self, segment, file, position):
        """(position, offset, head) of the records of a file from a position on; each is read after a seek."""
        number, at, offset = self._at
        if number != segment.number or at > position:
            at, offset = segment.first, 0
        while at < segment.first + segment.count:
            file.seek(offset)
            head = file.read(records.HEAD)
            size = records.size(head) if len(head) == records.HEAD else 0
            if not size:
                return
            yield at, offset, head
            offset += size
            at += 1

    def _stand(self, segment, position, offset):
        self._at = (segment.number, position, offset)

    def _holding(self, position):
        for segment in self._segments:
            if segment.first <= position < segment.first + segment.count:
                return segment
        return None

    def _path(self, number):
        return "%s/%08d.q" % (self._folder, number)

    def _scan(self, number):
        """Count what a file holds; a damaged end is cut off by beginning a new file after it."""
        self._newest = max(self._newest, number)
        segment = _Segment(number, self.end)
        with self._open(self._path(number), "rb") as file:
            while True:
                head = file.read(records.HEAD)
                size = records.size(head) if len(head) == records.HEAD else 0
                record = head + file.read(size - records.HEAD) if size else b""
                if not size or records.unpack(record) is None:
                    break
                segment.count += 1
                segment.size += size
                segment.last_key = records.key(record)
        if not segment.count:
            os.remove(self._path(number))
            return
        if os.stat(self._path(number))[6] != segment.size:
            segment.size = SEGMENT
        self._segments.append(segment)
        self.end += segment.count


def _make(folder):
    path = ""
    for part in folder.split("/"):
        path += part
        try:
            os.mkdir(path)
        except OSError:
            pass  # It is there; if it could not be made, the first file says so.
        path += "/"
