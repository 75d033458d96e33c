"""The report on a class as HTML pages that work from a file, without a network and without JavaScript.

overview      what the page of the class says, as plain values
render        from values to HTML: templates/, style.css and table.js, all of it inside each page
"""

from clearformer.grading.classroom.pages.render import render

__all__ = ["render"]
